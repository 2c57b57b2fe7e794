//! Shows the ten most frequent words of what it reads.

use std::io::{Read, stdin};

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    print!("{}", render::render(&tally::top(&tally::tally(&text), 10)));
    Ok(())
}
