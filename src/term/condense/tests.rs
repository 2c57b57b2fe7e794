//! What is kept of an output, what is folded, and that nothing is lost on the way.

use proptest::prelude::*;

use super::*;
use crate::term::tokens::estimate_tokens;

/// The output condensed within a large budget.
fn condensed(way: Condense, text: &str) -> Option<Condensed> {
    let mut condenser = Condenser::new(way)?;
    text.lines().for_each(|line| condenser.push(line));
    condenser.finish(8_000)
}

fn auto(text: &str) -> String {
    condensed(Condense::Auto, text).expect("something to leave out").text
}

/// A build with so many steps.
fn build(steps: usize) -> String {
    (0..steps)
        .map(|step| {
            format!(
                "[{step}/{steps}] CC src/module_{step}.c -> out/{step:08x}.o in {}.{step} ms\n",
                step % 90
            )
        })
        .collect()
}

fn with(text: &str, line: usize, planted: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(line.min(lines.len()), planted);
    lines.join("\n")
}

#[test]
fn look_alike_lines_are_folded() {
    let text = build(1_000);
    let condensed = condensed(Condense::Auto, &text).unwrap();
    assert!(condensed.text.starts_with("[0/1000] CC src/module_0.c"), "{}", condensed.text);
    assert!(condensed.text.contains("[lines 11–980: 970 × \"[<n>/<n>] CC <path>"), "{}", condensed.text);
    assert_eq!((condensed.total_lines, condensed.omitted_lines, condensed.first_omitted), (1_000, 970, 11));
    assert_eq!(condensed.tokens, estimate_tokens(&condensed.text));
    let (counted, inferred) = (estimate_tokens(&text), condensed.raw_tokens);
    assert!(inferred.abs_diff(counted) < counted / 20, "{inferred} of {counted}");
}

#[test]
fn what_is_short_or_data_stays_as_it_is() {
    assert_eq!(condensed(Condense::Auto, &build(10)), None);
    assert_eq!(condensed(Condense::Off, &build(1_000)), None);
    let items: Vec<String> = (0..500).map(|n| format!("  {{\"id\": {n}, \"name\": \"item {n}\"}}")).collect();
    assert_eq!(condensed(Condense::Aggressive, &format!("[\n{}\n]", items.join(",\n"))), None);
    let rows: String = (0..900).map(|n| format!("{n},item {n},{}\n", n * 7)).collect();
    assert_eq!(condensed(Condense::Auto, &format!("id,name,size\n{rows}")), None);
}

#[test]
fn an_error_comes_with_what_is_around_it() {
    let text = with(&build(1_000), 500, "src/a.c:3:5: error: expected ';'\n    3 | int x\n      |      ^");
    let text = auto(&text);
    assert!(text.contains("\n[499/1000] CC"), "{text}");
    assert!(text.contains("error: expected ';'\n    3 | int x\n      |      ^\n[500/1000] CC"), "{text}");
}

#[test]
fn tracebacks_are_whole_and_repeated_ones_are_folded() {
    let trace = |name: &str| {
        let frames: String = (0..9)
            .map(|n| format!("  File \"/app/m{n}.py\", line {n}, in call_{name}\n    run({n})\n"))
            .collect();
        format!("Traceback (most recent call last):\n{frames}KeyError: '{name}'")
    };
    let mut text = build(300);
    text += &(trace("usual") + "\nINFO: going on\n").repeat(30);
    text = text + &build(300) + &trace("special") + "\n" + &build(300);
    let text = auto(&text);
    assert!(text.contains(&trace("special")), "{text}");
    assert!(text.contains(&trace("usual")), "{text}");
    assert!(text.matches("KeyError: 'usual'").count() <= 8, "{text}");
}

#[test]
fn a_rare_number_is_shown_where_others_repeat() {
    let access: String = (0..2_000)
        .map(|n| {
            format!(
                "127.0.0.1 \"GET /item/{n} HTTP/1.1\" {} {}\n",
                if n == 777 { 503 } else { 200 },
                n + 1_000
            )
        })
        .collect();
    let text = auto(&access);
    assert!(text.contains("\"GET /item/777 HTTP/1.1\" 503"), "{text}");
    assert!(text.contains("× \"<n>.<n>.<n>.<n> \"GET <path> HTTP/<n>.<n>\" 200"), "{text}");
}

#[test]
fn many_that_differ_in_a_word_are_alike_and_few_are_not() {
    let names = |count: usize| -> String {
        (0..count).map(|n| format!("Unpacking lib{} over the old one ...\n", letters(n))).collect()
    };
    let text = auto(&(build(400) + &names(300) + &build(400)));
    assert!(text.contains("300 × \"Unpacking <*> over the old one ...\""), "{text}");
    let text = auto(&(build(400) + &names(5) + &build(400)));
    assert_eq!(text.matches("Unpacking lib").count(), 5, "{text}");
}

#[test]
fn of_more_rare_lines_than_fit_those_are_shown_that_stand_out() {
    let words = |n: usize, count: usize| -> Vec<String> {
        (0..count).map(|word| letters(n * 7919 + word * 104_729)).collect()
    };
    let prose = |n: usize| format!("    {}\n", words(n, 9).join(" "));
    let call = |n: usize| format!("{}({}) = {}\n", letters(n), words(n, 6).join(", "), letters(n * 17));
    for text in [(0..2_000).map(prose).collect::<String>(), (0..2_000).map(call).collect()] {
        let planted = "the moon rose over the seventh lighthouse";
        for at in [300, 1_250, 1_900] {
            let shown = auto(&with(&text, at, planted));
            assert!(shown.lines().any(|line| line == planted), "{shown}");
            assert!(shown.lines().count() > 50, "the rest of the room is for the others: {shown}");
        }
    }
}

#[test]
fn lines_planted_in_recorded_logs_are_shown() {
    let planted = [
        (4, "src/vault/door.rs:41:7: error: cannot find the key of the vault in this scope"),
        (50, "FATAL replica gamma refused the handover: checksum mismatch"),
        (63, "the moon rose over the seventh lighthouse"),
        (96, "AssertionError: expected the ledger to balance"),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let mut condensed_logs = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().extension().is_none_or(|ending| ending != "gz") {
            continue;
        }
        let mut raw = Vec::new();
        let file = std::fs::File::open(entry.path()).unwrap();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut raw).unwrap();
        let text = crate::term::text::render(&raw, 40, 120).text;
        let lines = text.lines().count();
        let text = planted.iter().rev().fold(text, |text, (at, line)| with(&text, lines * at / 100, line));
        for way in [Condense::Auto, Condense::Aggressive] {
            let Some(condensed) = condensed(way, &text) else { continue };
            condensed_logs += 1;
            for (_, line) in planted {
                assert!(condensed.text.lines().any(|shown| shown == line), "{line} of {:?}", entry.path());
            }
        }
    }
    assert!(condensed_logs >= 60, "{condensed_logs}");
}

/// A word for a number.
fn letters(number: usize) -> String {
    let letter = |digit: usize| char::from(b"abcdefghijklmnopqrstuvwxyz"[digit % 26]);
    [number / 676, number / 26, number].map(letter).iter().collect()
}

#[test]
fn aggressive_says_less() {
    let text =
        build(3_000) + &(0..40).map(|n| format!("warning: unused variable x{n}\n")).collect::<String>();
    let tokens = |way| condensed(way, &text).unwrap().tokens;
    assert!(tokens(Condense::Aggressive) < tokens(Condense::Auto));
}

#[test]
fn memory_has_a_bound_whatever_comes() {
    let mut condenser = Condenser::new(Condense::Auto).unwrap();
    for number in 0..200_000_usize {
        condenser.push(&format!(
            "{} {} {} {}",
            letters(number),
            letters(number / 7),
            letters(number * 31),
            letters(number / 3)
        ));
    }
    assert!(condenser.digest.kept.len() <= 4_097 && condenser.pending.len() <= 41);
    assert!(condenser.finish(8_000).is_some_and(|condensed| condensed.tokens <= 8_000));
}

/// Lines as programs print them, and others.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        6 => (0_u32..5_000).prop_map(|n| format!("worker {n} finished job {} in {n}.5 ms", n * 3)),
        3 => "[a-z]{3,6}".prop_map(|word| format!("Compiling {word} v1.2.3")),
        2 => (0_u32..20).prop_map(|n| format!("src/a.c:{n}:1: warning: unused variable 'x{n}'")),
        1 => "[ -~]{0,80}",
        1 => "([a-z]{1,8} ){0,6}",
        1 => Just("Traceback (most recent call last):".to_owned()),
        1 => Just("  File \"x.py\", line 3, in f".to_owned()),
        1 => Just(String::new()),
    ];
    prop::collection::vec((line, 1_usize..12), 0..120).prop_map(|runs| {
        runs.into_iter().flat_map(|(line, times)| std::iter::repeat_n(line, times)).collect()
    })
}

/// The numbers of the lines that a text does not show, as its folds tell.
fn folded(text: &str) -> Vec<(u64, u64)> {
    let ranges = text.lines().filter_map(|line| {
        let range = line.strip_prefix("[lines ").or_else(|| line.strip_prefix("[line "))?;
        let (range, _) = range.split_once(": ")?;
        let (first, last) = range.split_once('–').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    ranges.collect()
}

proptest! {
    #[test]
    fn it_is_never_larger_and_every_line_is_shown_or_counted(lines in lines(), budget in 300_usize..8_000) {
        for way in [Condense::Auto, Condense::Aggressive] {
            let mut condenser = Condenser::new(way).unwrap();
            for line in &lines { condenser.push(line); }
            let Some(condensed) = condenser.finish(budget) else { continue };
            let whole = lines.join("\n");
            prop_assert!(condensed.text.len() < whole.len() && condensed.tokens < condensed.raw_tokens);
            prop_assert!(condensed.tokens <= budget, "{} of {budget}", condensed.tokens);
            // Shown lines stand in order at their numbers, and the folds say what is between them.
            let (mut number, mut omitted) = (0, 0);
            let mut folds = folded(&condensed.text).into_iter();
            for line in condensed.text.split('\n') {
                if line.starts_with("[line") && line.ends_with(']') {
                    let (first, last) = folds.next().unwrap();
                    prop_assert_eq!(first, number + 1);
                    number = last;
                    omitted += last - first + 1;
                } else {
                    number += 1;
                    prop_assert_eq!(line, &lines[usize::try_from(number).unwrap() - 1]);
                }
            }
            prop_assert_eq!((number, omitted), (condensed.total_lines, condensed.omitted_lines));
        }
    }

    #[test]
    fn planted_lines_stay_visible(
        lines in lines(), at in 0_usize..2_000,
        planted in "(ERROR|fatal|rare event|note to self): [a-z]{9} [a-z]{9} lost [a-z]{9}",
    ) {
        let text = with(&(lines.join("\n") + "\n" + &build(500)), at, &planted);
        prop_assert!(auto(&text).lines().any(|line| line == planted));
    }
}
