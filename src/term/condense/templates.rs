//! How often each template was seen, and which lines of it are rare: those seen once or twice, and those
//! with a small number that was seen once or twice where the template has few others. Rareness is known
//! only later: a line counts as rare until it turns out not to be, and is then released.
//!
//! Templates that differ in one word only, of which there are many, are one with that word left open.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::kinds::{Kind, kind};
use super::scan::{Look, SLOT, Slots, pattern};
use crate::term::filter::line_tokens;

/// Seen more often than this is not rare.
const RARE: u64 = RARE_LINES as u64;
const RARE_LINES: usize = 2;
/// Templates known at a time. The rarest are forgotten when there are more.
const TEMPLATES: usize = 8_192;
/// Templates with a word left open, known at a time.
const SKELETONS: usize = 16_384;
/// Patterns that folds can show. What comes later is folded without one.
const FOLDS: usize = 4_096;
/// Values of a small number beyond which it is one like any other.
const VALUES: usize = 12;
/// Values that a pattern names.
const NAMED_VALUES: usize = 3;
/// The first lines of a template have their tokens counted, and one in so many of the others; those of the
/// rest are inferred from their size.
const COUNTED: u64 = 16;

/// What a folded line is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fold(u32);

impl Fold {
    /// Lines without a pattern.
    pub(super) const OTHER: Self = Self(0);
}

/// A line as it is seen when it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) kind: Kind,
    /// How often the like of it was seen, with this one.
    pub(super) ordinal: u64,
    /// For how many reasons it is rare.
    pub(super) reasons: u8,
    pub(super) fold: Fold,
    /// Estimated, with its newline.
    pub(super) tokens: usize,
}

/// A line that has lost a reason to be rare, or all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) line: u64,
    pub(super) fold: Fold,
    pub(super) is_whole: bool,
}

#[derive(Debug)]
struct Template {
    count: u64,
    kind: Kind,
    fold: Fold,
    /// The first, as far as they are rare.
    lines: [u64; RARE_LINES],
    /// The small numbers of the first line, until there is a second: most templates have none.
    first: Slots,
    slots: Vec<Slot>,
    counted_tokens: usize,
    counted_bytes: usize,
}

/// A small number of a template.
#[derive(Debug, Default)]
struct Slot {
    values: Vec<Value>,
    /// It has too many values for one of them to be rare.
    is_open: bool,
}

#[derive(Debug)]
struct Value {
    number: u16,
    count: u64,
    lines: [u64; RARE_LINES],
}

/// Templates that are the same but for one word. A line that is rare makes one for each of its words, so it
/// is small.
#[derive(Debug)]
struct Skeleton {
    templates: u32,
    fold: Fold,
    /// While there are few templates: the first line that is rare, and the others. Most have no others, and
    /// so allocate nothing.
    first: u64,
    #[expect(clippy::box_collection, reason = "a third of the size")]
    others: Option<Box<Vec<u64>>>,
}

/// Skeletons that were seen once, as most are: each as a half of its hash, which says where to look for it,
/// and the line, which is never 0.
#[derive(Debug)]
struct Once {
    places: Vec<[u32; 2]>,
    taken: usize,
}

impl Once {
    fn new() -> Self {
        Self { places: vec![[0; 2]; SKELETONS / 8], taken: 0 }
    }

    /// Sees a skeleton in a line; returns the line in which it was seen before.
    fn see(&mut self, hash: u64, line: u64) -> Option<u64> {
        let half = (hash >> 32) as u32;
        let line = u32::try_from(line).ok()?;
        let known = self.put([half, line]);
        if known.is_none() && self.taken * 2 > self.places.len() {
            self.make_room();
        }
        known.map(u64::from)
    }

    /// Puts it where there is room, unless it is known.
    fn put(&mut self, entry: [u32; 2]) -> Option<u32> {
        // A power of two, always.
        let mask = self.places.len() - 1;
        let mut at = entry[0] as usize & mask;
        while self.places[at][1] > 0 {
            if self.places[at][0] == entry[0] {
                return Some(self.places[at][1]);
            }
            at = (at + 1) & mask;
        }
        self.places[at] = entry;
        self.taken += 1;
        None
    }

    /// Makes four times the room; where that is too much, what was seen so far is forgotten.
    fn make_room(&mut self) {
        let known = std::mem::take(&mut self.places);
        let room = known.len() * 4;
        self.taken = 0;
        if room > SKELETONS * 2 {
            self.places = vec![[0; 2]; known.len()];
            return;
        }
        self.places = vec![[0; 2]; room];
        known.into_iter().filter(|entry| entry[1] > 0).for_each(|entry| {
            self.put(entry);
        });
    }
}

/// Hashes what is a hash already. It has a secret, so that no output can be made to slow the tables down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed(u64);

impl Keyed {
    pub(super) fn secret() -> Self {
        Self(RandomState::new().hash_one(SPREAD))
    }
}

impl BuildHasher for Keyed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Keyed {
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(SPREAD);
        #[expect(clippy::cast_possible_truncation, reason = "its two halves")]
        {
            self.0 = product as u64 ^ (product >> 64) as u64;
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An odd number with no pattern in its bits.
const SPREAD: u64 = 0x9fb2_1c65_1e98_df25;

/// See the module.
#[derive(Debug)]
pub(super) struct Templates {
    known: HashMap<u64, Template, Keyed>,
    once: Once,
    skeletons: HashMap<u64, Skeleton, Keyed>,
    patterns: Vec<(String, u64)>,
    look: Look,
    /// So many templates leave a word open.
    open_after: u32,
    /// What the latest line released.
    pub(super) released: Vec<Release>,
}

impl Templates {
    pub(super) fn new(open_after: u32) -> Self {
        let keyed = Keyed::secret();
        Self {
            known: HashMap::with_hasher(keyed),
            once: Once::new(),
            skeletons: HashMap::with_hasher(keyed),
            patterns: vec![(String::new(), 0)],
            look: Look::default(),
            open_after,
            released: Vec::new(),
        }
    }

    /// Sees the next line.
    pub(super) fn see(&mut self, number: u64, line: &str) -> Sighting {
        self.released.clear();
        self.look.read(line.as_bytes());
        let hash = self.look.hash;
        if let Some(template) = self.known.get_mut(&hash) {
            template.count += 1;
            let tokens = template.tokens(line);
            if template.count > RARE {
                return self.see_common(number, line, tokens);
            }
            template.begin_slots();
            template.lines[usize::from(template.count > 1)] = number;
            let (kind, count) = (template.kind, template.count);
            let reasons = 1 + template.see_slots(number, self.look.slots.all(), &mut self.released);
            return self.see_rare(
                number,
                line,
                Sighting { kind, ordinal: count, reasons, fold: Fold::OTHER, tokens },
            );
        }
        if self.known.len() >= TEMPLATES {
            forget(&mut self.known, TEMPLATES, |template| template.count);
        }
        let (kind, tokens) = (kind(line), line_tokens(line));
        let first = self.look.slots;
        let template = Template {
            count: 1,
            kind,
            fold: Fold::OTHER,
            lines: [number; RARE_LINES],
            first,
            slots: Vec::new(),
            counted_tokens: tokens,
            counted_bytes: line.len() + 1,
        };
        let reasons = 1 + first.rare();
        self.known.insert(hash, template);
        self.see_rare(number, line, Sighting { kind, ordinal: 1, reasons, fold: Fold::OTHER, tokens })
    }

    /// How a fold reads: its pattern, with the values of small numbers that have few.
    pub(super) fn pattern(&self, fold: Fold) -> String {
        let Some((pattern, hash)) = self.patterns.get(fold.0 as usize) else { return String::new() };
        let slots = self.known.get(hash).map_or(&[][..], |template| &template.slots);
        let mut slots = slots.iter();
        let mut text = String::new();
        for (index, piece) in pattern.split(SLOT).enumerate() {
            if index > 0 {
                text.push_str(&slots.next().map_or_else(|| "<n>".to_owned(), Slot::named));
            }
            text.push_str(piece);
        }
        text
    }

    /// A line whose template was seen before often enough.
    fn see_common(&mut self, number: u64, line: &str, tokens: usize) -> Sighting {
        let hash = self.look.hash;
        let Some(template) = self.known.get_mut(&hash) else {
            return Sighting { kind: Kind::Plain, ordinal: 1, reasons: 0, fold: Fold::OTHER, tokens };
        };
        let (kind, ordinal) = (template.kind, template.count);
        if template.count == RARE + 1 {
            template.fold = add_pattern(&mut self.patterns, || pattern(line, None), hash);
            let fold = template.fold;
            self.released.extend(template.lines.map(|line| Release { line, fold, is_whole: false }));
        }
        let reasons = template.see_slots(number, self.look.slots.all(), &mut self.released);
        Sighting { kind, ordinal, reasons, fold: template.fold, tokens }
    }

    /// A line whose template is rare so far: it may be one of many that differ in one word.
    fn see_rare(&mut self, number: u64, line: &str, seen: Sighting) -> Sighting {
        if self.skeletons.len() + super::scan::WORDS > SKELETONS {
            forget(&mut self.skeletons, SKELETONS, |skeleton| u64::from(skeleton.templates));
        }
        let mut found: Option<(u32, Fold)> = None;
        for (place, hash) in self.look.skeletons() {
            let skeleton = if let Some(known) = self.skeletons.get_mut(&hash) {
                known
            } else {
                let Some(first) = self.once.see(hash, number) else { continue };
                let skeleton = Skeleton { templates: 1, fold: Fold::OTHER, first, others: None };
                self.skeletons.entry(hash).or_insert(skeleton)
            };
            skeleton.templates = skeleton.templates.saturating_add(u32::from(seen.ordinal == 1));
            if skeleton.templates < self.open_after {
                if skeleton.first != number {
                    skeleton.others.get_or_insert_default().push(number);
                }
                continue;
            }
            if skeleton.fold == Fold::OTHER {
                skeleton.fold = add_pattern(&mut self.patterns, || pattern(line, Some(place)), 0);
            }
            let fold = skeleton.fold;
            let first = Some(std::mem::take(&mut skeleton.first)).filter(|&line| line > 0);
            let lines = first.into_iter().chain(skeleton.others.take().into_iter().flat_map(|lines| *lines));
            self.released.extend(lines.map(|line| Release { line, fold, is_whole: true }));
            if found.is_none_or(|(templates, _)| templates < skeleton.templates) {
                found = Some((skeleton.templates, fold));
            }
        }
        match found {
            None => seen,
            Some((templates, fold)) => {
                Sighting { reasons: 0, fold, ordinal: seen.ordinal.max(u64::from(templates)), ..seen }
            }
        }
    }
}

impl Template {
    /// What `line` costs.
    fn tokens(&mut self, line: &str) -> usize {
        if self.count > COUNTED && !self.count.is_multiple_of(COUNTED) {
            return (line.len() + 1) * self.counted_tokens / self.counted_bytes;
        }
        let tokens = line_tokens(line);
        self.counted_tokens += tokens;
        self.counted_bytes += line.len() + 1;
        tokens
    }

    /// A second line comes.
    fn begin_slots(&mut self) {
        let first = std::mem::take(&mut self.first);
        self.see_slots(self.lines[0], first.all(), &mut Vec::new());
    }

    /// For how many of its small numbers the line is rare.
    fn see_slots(&mut self, number: u64, values: &[Option<u16>], released: &mut Vec<Release>) -> u8 {
        if self.slots.len() < values.len() {
            self.slots.resize_with(values.len(), Slot::default);
        }
        let fold = self.fold;
        let mut reasons = 0;
        for (slot, value) in self.slots.iter_mut().zip(values).filter(|(slot, _)| !slot.is_open) {
            let mut release = |lines: &[u64]| {
                released.extend(lines.iter().map(|&line| Release { line, fold, is_whole: false }));
            };
            let known = slot.values.iter().position(|known| Some(known.number) == *value);
            match (known, value) {
                (Some(place), _) => {
                    let known = &mut slot.values[place];
                    known.count += 1;
                    if known.count <= RARE {
                        known.lines[usize::from(known.count > 1)] = number;
                        reasons += 1;
                    } else if known.count == RARE + 1 {
                        release(&known.lines);
                    }
                }
                (None, Some(value)) if slot.values.len() < VALUES => {
                    slot.values.push(Value { number: *value, count: 1, lines: [number; RARE_LINES] });
                    reasons += 1;
                }
                (None, _) => {
                    slot.is_open = true;
                    let rare = slot.values.iter().filter(|value| value.count <= RARE);
                    rare.for_each(|value| release(&value.lines[..=usize::from(value.count > 1)]));
                    slot.values = Vec::new();
                }
            }
        }
        reasons
    }
}

impl Slot {
    fn named(&self) -> String {
        // Rare ones are shown with their lines.
        let values = self.values.iter().filter(|value| value.count > RARE);
        let values: Vec<String> = values.map(|value| value.number.to_string()).collect();
        if self.is_open || values.is_empty() || values.len() > NAMED_VALUES {
            return "<n>".to_owned();
        }
        values.join("|")
    }
}

/// Forgets the rarest, until half of the room is free.
fn forget<T>(known: &mut HashMap<u64, T, Keyed>, room: usize, count: impl Fn(&T) -> u64) {
    let mut least = 1;
    while known.len() > room / 2 {
        known.retain(|_, entry| count(entry) > least);
        least *= 2;
    }
}

fn add_pattern(patterns: &mut Vec<(String, u64)>, pattern: impl FnOnce() -> String, hash: u64) -> Fold {
    let Some(fold) = u32::try_from(patterns.len()).ok().filter(|_| patterns.len() < FOLDS) else {
        return Fold::OTHER;
    };
    patterns.push((pattern(), hash));
    Fold(fold)
}
