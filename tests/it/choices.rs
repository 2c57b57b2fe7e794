//! Whether a model finds the right tool: tasks as they are put, against what is published of each tool. The
//! measure is similarity of words, weighted by how few tools they stand with (TF-IDF and cosine): what it
//! cannot tell apart by words, a small model may not either.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::Client;

const CASES: &str = include_str!("../fixtures/choices.tsv");

/// Words that say nothing of what is wanted.
const EMPTY: [&str; 40] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "do", "does", "for", "from", "give", "have", "how", "i",
    "if", "in", "is", "it", "its", "me", "of", "on", "or", "say", "says", "should", "so", "that", "the",
    "them", "then", "there", "this", "to", "what", "which", "with", "without",
];

/// Words with their weights.
type Vector = BTreeMap<String, f64>;

/// The words of a text without their endings; names in `camelCase` and `snake_case` come apart.
fn words(text: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(text.len());
    let mut previous = ' ';
    for c in text.chars() {
        if c.is_uppercase() && previous.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' });
        previous = c;
    }
    let stem = |word: &str| {
        let endings = ["ies", "ing", "ed", "es", "s", "e", "y"];
        let stem = endings.iter().find_map(|ending| word.strip_suffix(ending).filter(|stem| stem.len() >= 3));
        stem.unwrap_or(word).to_owned()
    };
    spaced.split_whitespace().filter(|word| !EMPTY.contains(word)).map(stem).collect()
}

/// What is published of a tool; its name and title say most, so they count more.
fn published(tool: &Value) -> Vec<String> {
    let text = |field: &str| tool[field].as_str().expect("a text").to_owned();
    let mut all = words(&text("description"));
    for _ in 0..3 {
        all.extend(words(&text("name")));
        all.extend(words(&text("title")));
    }
    let fields = tool["inputSchema"]["properties"].as_object().expect("fields");
    for (name, schema) in fields {
        all.extend(words(name));
        all.extend(words(schema["description"].as_str().unwrap_or_default()));
    }
    all
}

fn weighted(words: &[String], rarity: &Vector) -> Vector {
    let mut counts = Vector::new();
    for word in words.iter().filter(|word| rarity.contains_key(*word)) {
        *counts.entry(word.clone()).or_default() += 1.0;
    }
    for (word, count) in &mut counts {
        *count = (1.0 + count.ln()) * rarity[word];
    }
    counts
}

fn cosine(a: &Vector, b: &Vector) -> f64 {
    let length = |vector: &Vector| vector.values().map(|weight| weight * weight).sum::<f64>().sqrt();
    let product: f64 = a.iter().map(|(word, weight)| weight * b.get(word).unwrap_or(&0.0)).sum();
    product / (length(a) * length(b)).max(f64::MIN_POSITIVE)
}

#[expect(clippy::cast_precision_loss, reason = "there are some dozens of tools")]
#[test]
fn the_right_tool_is_found_by_its_words() {
    let mut client = Client::start();
    let listed = client.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools");
    let documents: Vec<(&str, Vec<String>)> =
        tools.iter().map(|tool| (tool["name"].as_str().expect("a name"), published(tool))).collect();
    let mut holders: BTreeMap<String, usize> = BTreeMap::new();
    for (_, document) in &documents {
        for word in document.iter().collect::<BTreeSet<_>>() {
            *holders.entry(word.clone()).or_default() += 1;
        }
    }
    let all = documents.len() as f64;
    let rarity: Vector =
        holders.into_iter().map(|(word, count)| (word, (all / count as f64).ln() + 0.1)).collect();
    let vectors: Vec<(&str, Vector)> =
        documents.iter().map(|(name, document)| (*name, weighted(document, &rarity))).collect();

    let (mut first, mut wrong, mut chosen) = (0, Vec::new(), BTreeSet::new());
    let cases: Vec<(&str, &str)> = CASES.lines().filter_map(|line| line.split_once('\t')).collect();
    assert!(cases.len() >= 40, "{}", cases.len());
    for (task, tool) in &cases {
        assert!(vectors.iter().any(|(name, _)| name == tool), "there is no {tool}");
        chosen.insert(*tool);
        let question = weighted(&words(task), &rarity);
        let mut ranked: Vec<(f64, &str)> =
            vectors.iter().map(|(name, vector)| (cosine(&question, vector), *name)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        match ranked.iter().position(|(_, name)| name == tool) {
            Some(0) => first += 1,
            Some(1) => {}
            place => {
                let best: Vec<_> =
                    ranked.iter().take(4).map(|(how, name)| format!("{name} {how:.2}")).collect();
                wrong.push(format!("{task:?} is for {tool}, which is at {place:?} behind {best:?}"));
            }
        }
    }
    println!(
        "{first} of {} tasks find their tool first, {} among two",
        cases.len(),
        cases.len() - wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    let missing: Vec<&str> =
        vectors.iter().map(|(name, _)| *name).filter(|name| !chosen.contains(name)).collect();
    assert!(missing.is_empty(), "no task chooses {missing:?}: add one to choices.tsv");
}
