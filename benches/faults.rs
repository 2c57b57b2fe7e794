//! The fault matrix as a Markdown table: `cargo bench --bench faults`.

#![expect(unreachable_pub, reason = "a benchmark has no outside")]
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::needless_pass_by_value, reason = "what it shares with the tests is written for them")]

#[path = "../tests/it/faults.rs"]
mod faults;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/support/mod.rs"]
mod support;

fn main() {
    println!("| fault | seen | after | recovered | kept |\n|---|---|---|---|---|");
    let (mut recovered, mut recoverable) = (0, 0);
    for fault in faults::FAULTS {
        let row = faults::inject(fault);
        let yes = if row.recovered { "yes" } else { "no" };
        println!("| {} | {} | {} ms | {yes} | {} |", row.fault, row.seen, row.took.as_millis(), row.kept);
        recoverable += u32::from(fault.recoverable);
        recovered += u32::from(fault.recoverable && row.recovered);
    }
    println!("\n{recovered} of {recoverable} recoverable faults recovered.");
}
