//! Where a page of rendered output has to end to stay within its budget.

use crate::term::filter::line_tokens;
use crate::term::text::Renderer;

/// After a page is full, it is tried so many bytes more whether the program takes lines back.
const LOOK_AHEAD_BYTES: u64 = 64 << 10;

/// Finds where a page has to end.
pub(super) struct Fill {
    renderer: Renderer,
    budget: usize,
    /// Bytes rendered at a time, if no newline comes before. A few steps always fit,
    /// so that there is a place to end even when some end within a sequence.
    pub(super) step: usize,
    final_tokens: usize,
    /// An upper bound on the tokens of everything so far, until it is measured again.
    bound: usize,
    /// Where the page can end with a line.
    line_cut: Option<u64>,
    /// Where it can end within a line.
    piece_cut: Option<u64>,
    /// The first place that can end a page at all, if it fits or not.
    first_rest: Option<u64>,
    full_at: Option<u64>,
}

impl Fill {
    pub(super) fn new(rows: u16, cols: u16, budget: usize) -> Self {
        Self {
            renderer: Renderer::new(rows, cols),
            budget,
            step: (budget / 4).clamp(1, 512),
            final_tokens: 0,
            bound: 0,
            line_cut: None,
            piece_cut: None,
            first_rest: None,
            full_at: None,
        }
    }

    pub(super) fn wants_more(&self, at: u64) -> bool {
        // Without a place to end there is no page: then it goes on, whatever it costs.
        self.first_rest.is_none()
            || (self.final_tokens <= self.budget
                && self.full_at.is_none_or(|full| at < full + LOOK_AHEAD_BYTES))
    }

    pub(super) fn step(&mut self, bytes: &[u8], end: u64) {
        let final_tokens = &mut self.final_tokens;
        self.renderer.feed(bytes, &mut |line| *final_tokens += line_tokens(line));
        // A byte costs at most a token; a sequence may repeat a character, but such runs are cheap.
        let weight = if bytes.contains(&0x1b) { 4 } else { 1 };
        self.bound += weight * bytes.len();
        if !self.renderer.is_at_rest() {
            return;
        }
        self.first_rest.get_or_insert(end);
        if self.bound > self.budget && !self.measure_fits() {
            self.full_at.get_or_insert(end);
            return;
        }
        self.full_at = None;
        if self.renderer.is_at_line_start() {
            self.line_cut = Some(end);
        }
        self.piece_cut = Some(end);
    }

    pub(super) fn measure_fits(&mut self) -> bool {
        let mut tokens = self.final_tokens;
        self.renderer.live_lines(&mut |line| tokens += line_tokens(line));
        self.bound = tokens;
        tokens <= self.budget
    }

    pub(super) fn cut(&self, end: u64) -> u64 {
        self.line_cut.or(self.piece_cut).or(self.first_rest).unwrap_or(end)
    }
}
