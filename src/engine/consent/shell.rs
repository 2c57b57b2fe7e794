//! Reads a command line as far as it can be read without running it: the simple commands in it with their
//! words. What a shell would only know by running it (`$(…)`, here documents, quotes that do not end) is hidden. So is
//! what looks like it in single quotes, since builtins run it there (`[ -v 'a[$(x)]' ]`, `${x@P}`), and an expansion
//! that is more than a name; whatever else is not plain words, quotes, separators and redirections: braces, a `(` that
//! begins no group, and comments, which not every shell knows.

/// Bytes of a command line that are read; a longer one hides the rest.
const MOST: usize = 16 << 10;
/// Words that stand before a command, or alone.
const KEYWORDS: &[&str] =
    &["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "time", "begin", "end"];

/// A command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) commands: Vec<Simple>,
    /// Whether a part of it is known only when it runs.
    pub(super) is_hidden: bool,
}

/// A simple command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) words: Vec<String>,
    /// Files that its output goes to.
    pub(super) writes: Vec<String>,
    /// Whether it reads what another one prints.
    pub(super) is_piped: bool,
}

/// What stands in `text`.
pub(super) fn read(text: &str) -> Line {
    let end = (0..=text.len().min(MOST)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mut reader = Reader { is_hidden: end < text.len(), ..Reader::default() };
    let mut rest = text[..end].chars().peekable();
    while let Some(c) = rest.next() {
        reader.take(c, &mut rest);
    }
    reader.end_command(false);
    Line { commands: reader.commands, is_hidden: reader.is_hidden || reader.quote.is_some() }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

#[derive(Default)]
struct Reader {
    commands: Vec<Simple>,
    is_hidden: bool,
    current: Simple,
    word: Option<String>,
    quote: Option<char>,
    /// Whether the next word is where output goes.
    redirects: bool,
}

impl Reader {
    fn take(&mut self, c: char, rest: &mut Rest<'_>) {
        if let Some(quote) = self.quote {
            match c {
                _ if c == quote => self.quote = None,
                '\\' if quote == '"' => self.push(rest.next()),
                _ => {
                    self.look_for_hidden(c, rest, quote == '\'');
                    self.push(Some(c));
                }
            }
            return;
        }
        match c {
            '\'' | '"' => {
                self.quote = Some(c);
                self.push(None);
            }
            '\\' => match rest.next() {
                Some('\n') | None => {}
                next => self.push(next),
            },
            // Not every shell takes it for a comment.
            '#' if self.word.is_none() => {
                self.is_hidden = true;
                while rest.next_if(|c| *c != '\n').is_some() {}
            }
            // Within a word, and before one, it is an expansion: a{b,c}
            '{' if self.word.is_some() || rest.peek().is_some_and(|c| !c.is_whitespace()) => {
                self.is_hidden |= !self.word.as_ref().is_some_and(|word| word.ends_with('$'));
                self.push(Some(c));
            }
            // A function, a pattern of zsh, arithmetic.
            '(' if self.word.is_some() || rest.peek().is_some_and(|c| matches!(c, '(' | ')')) => {
                self.is_hidden = true;
                self.end_command(false);
            }
            '}' if self.word.is_some() => self.push(Some(c)),
            '\n' | ';' | '(' | ')' | '{' | '}' => self.end_command(false),
            '|' => {
                let is_or = rest.next_if_eq(&'|').is_some();
                rest.next_if_eq(&'&');
                self.end_command(!is_or);
            }
            '&' if rest.peek() == Some(&'>') => self.end_word(),
            '&' => {
                rest.next_if_eq(&'&');
                self.end_command(false);
            }
            '>' => self.redirect(rest),
            '<' => {
                self.is_hidden |= rest.peek().is_some_and(|c| matches!(c, '<' | '('));
                self.end_word();
            }
            _ if c.is_whitespace() => self.end_word(),
            _ => {
                self.look_for_hidden(c, rest, false);
                self.push(Some(c));
            }
        }
    }

    fn look_for_hidden(&mut self, c: char, rest: &mut Rest<'_>, is_literal: bool) {
        self.is_hidden |= match (c, rest.peek()) {
            ('`', _) | ('$', Some('(')) => true,
            ('$', Some('[' | '\'')) => !is_literal,
            ('$', Some('{')) => {
                let inside: String = rest.clone().skip(1).take_while(|c| *c != '}').collect();
                !is_literal && !inside.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            }
            _ => false,
        };
    }

    /// `2>&1`, `>file`, `>>file`, `>|file`
    fn redirect(&mut self, rest: &mut Rest<'_>) {
        if self.word.as_ref().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.is_hidden |= rest.peek() == Some(&'(');
        while rest.next_if(|c| matches!(c, '>' | '|')).is_some() {}
        if rest.next_if_eq(&'&').is_some() {
            let mut ahead = rest.clone();
            let target: String =
                std::iter::from_fn(|| ahead.next_if(|c| !c.is_whitespace() && !";&|()<>".contains(*c)))
                    .collect();
            if target == "-" || !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit()) {
                *rest = ahead;
                return;
            }
        }
        self.redirects = true;
    }

    /// Begins a word, or goes on with it.
    fn push(&mut self, c: Option<char>) {
        self.word.get_or_insert_default().extend(c);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if std::mem::take(&mut self.redirects) {
            self.current.writes.push(word);
        } else if !self.current.words.is_empty() || !KEYWORDS.contains(&word.as_str()) {
            self.current.words.push(word);
        }
    }

    fn end_command(&mut self, pipes: bool) {
        self.end_word();
        self.redirects = false;
        let next = Simple { is_piped: pipes, ..Simple::default() };
        let ended = std::mem::replace(&mut self.current, next);
        if !ended.words.is_empty() || !ended.writes.is_empty() {
            self.commands.push(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        read(text).commands.into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn a_line_is_read_as_a_shell_would() {
        assert_eq!(words("rm -rf 'a b' \"c\\\"d\" e\\ f"), [["rm", "-rf", "a b", "c\"d", "e f"]]);
        assert_eq!(words("a && b || c; d | e & f\ng"), [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]);
        assert_eq!(words("if x; then (y); fi # z; w"), [["x"], ["y"]]);
        assert_eq!(words("{ a b; }; {c,d}"), [vec!["a", "b"], vec!["{c,d}"]]);
        assert_eq!(words("rm a{b,c} {d,e} ${f}"), [["rm", "a{b,c}", "{d,e}", "${f}"]]);
        assert_eq!(words(""), Vec::<Vec<String>>::new());
        let piped: Vec<bool> = read("a | b || c").commands.iter().map(|command| command.is_piped).collect();
        assert_eq!(piped, [false, true, false]);
    }

    #[test]
    fn files_that_are_written_are_told_from_words() {
        let check = |text: &str| {
            let Simple { words, writes, .. } = read(text).commands.remove(0);
            (words.join(" "), writes.join(" "))
        };
        assert_eq!(check("a b >c"), ("a b".into(), "c".into()));
        assert_eq!(check("a 2>&1 >> c d"), ("a d".into(), "c".into()));
        assert_eq!(check("a &> c"), ("a".into(), "c".into()));
        assert_eq!(check("a >&2"), ("a".into(), String::new()));
        assert_eq!(check("a >&2/../c"), ("a".into(), "2/../c".into()));
        assert_eq!(check("a 2> /dev/null < in"), ("a in".into(), "/dev/null".into()));
        assert_eq!(check("> c"), (String::new(), "c".into()));
    }

    #[test]
    fn what_only_running_it_tells_is_hidden() {
        for text in ["echo $(x)", "echo \"$(x)\"", "echo `x`", "cat <<E", "diff <(a) b", "echo 'a"] {
            assert!(read(text).is_hidden, "{text}");
        }
        for text in ["ls(){ x; }", "ls () { x; }", "ls *(e:x:)", "((x))", "a{b,c}", "{a,b}", "ls # x"] {
            assert!(read(text).is_hidden, "{text}");
        }
        for text in [
            "[ -v 'a[$(x)]' ]",
            "x='`y`'",
            "echo ${x@P}",
            "echo ${P:x}",
            "echo \"${(e)x}\"",
            "ls $[x]",
            "ls $'\\x24'",
        ] {
            assert!(read(text).is_hidden, "{text}");
        }
        for text in ["echo '$x'", "echo '${x:-y}'", "echo ${x}", "echo $x", "cat < a", "echo \\`"] {
            assert!(!read(text).is_hidden, "{text}");
        }
        assert!(read(&"x".repeat(MOST + 1)).is_hidden);
    }
}
