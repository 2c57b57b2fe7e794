//! What a key sends, by its name: the sequences of xterm in its normal modes.

/// Some names, for messages that explain what is allowed.
pub const EXAMPLES: &[&str] = &[
    "enter",
    "tab",
    "escape",
    "space",
    "backspace",
    "delete",
    "up",
    "down",
    "left",
    "right",
    "home",
    "end",
    "pageup",
    "pagedown",
    "insert",
    "f1",
    "f12",
    "ctrl-c",
    "ctrl-d",
    "ctrl-space",
    "alt-x",
    "shift-tab",
];

/// No name is longer, in bytes, however many modifiers it has.
const LONGEST_NAME: usize = 32;

/// Names without modifiers, other than `f1` to `f12`.
const NAMED: &[(&str, &[u8])] = &[
    ("enter", b"\r"),
    ("return", b"\r"),
    ("tab", b"\t"),
    ("escape", b"\x1b"),
    ("esc", b"\x1b"),
    ("space", b" "),
    ("backspace", b"\x7f"),
    ("delete", b"\x1b[3~"),
    ("del", b"\x1b[3~"),
    ("up", b"\x1b[A"),
    ("down", b"\x1b[B"),
    ("right", b"\x1b[C"),
    ("left", b"\x1b[D"),
    ("home", b"\x1b[H"),
    ("end", b"\x1b[F"),
    ("pageup", b"\x1b[5~"),
    ("pagedown", b"\x1b[6~"),
    ("insert", b"\x1b[2~"),
    ("f1", b"\x1bOP"),
    ("f2", b"\x1bOQ"),
    ("f3", b"\x1bOR"),
    ("f4", b"\x1bOS"),
    ("f5", b"\x1b[15~"),
    ("f6", b"\x1b[17~"),
    ("f7", b"\x1b[18~"),
    ("f8", b"\x1b[19~"),
    ("f9", b"\x1b[20~"),
    ("f10", b"\x1b[21~"),
    ("f11", b"\x1b[23~"),
    ("f12", b"\x1b[24~"),
    ("shift-tab", b"\x1b[Z"),
    ("shift+tab", b"\x1b[Z"),
];

/// What the key named `name` sends; `None` when there is no such key. Case does not matter, but for
/// the letter behind `alt-`.
pub fn key(name: &str) -> Option<Vec<u8>> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    if let Some((_, bytes)) = NAMED.iter().find(|(known, _)| *known == lower) {
        return Some(bytes.to_vec());
    }
    if let Some(control) = strip_any(&lower, &["ctrl-", "ctrl+", "control-", "control+", "c-", "^"]) {
        return Some(vec![control_byte(control)?]);
    }
    let alt = ["alt-", "alt+", "meta-", "meta+", "m-"].iter().find(|prefix| lower.starts_with(**prefix))?;
    let behind = name.get(alt.len()..)?;
    let mut characters = behind.chars();
    let meant = match (characters.next(), characters.next()) {
        (Some(character), None) if !character.is_control() => character.to_string().into_bytes(),
        _ => key(behind)?,
    };
    Some([b"\x1b", &meant[..]].concat())
}

fn control_byte(name: &str) -> Option<u8> {
    match name.as_bytes() {
        b"space" => Some(0),
        // The control of a character is its place in the columns of capitals: `@` is 0, `_` is 31.
        &[byte @ (b'@' | b'a'..=b'z' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(byte & 0x1f),
        b"?" => Some(0x7f),
        _ => None,
    }
}

fn strip_any<'a>(name: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_send_what_xterm_sends() {
        for (name, bytes) in [
            ("Enter", &b"\r"[..]),
            ("UP", b"\x1b[A"),
            ("f5", b"\x1b[15~"),
            ("ctrl-c", b"\x03"),
            ("Ctrl+C", b"\x03"),
            ("c-c", b"\x03"),
            ("^C", b"\x03"),
            ("^z", b"\x1a"),
            ("ctrl-\\", b"\x1c"),
            ("ctrl-]", b"\x1d"),
            ("ctrl-space", b"\0"),
            ("alt-x", b"\x1bx"),
            ("Alt-X", b"\x1bX"),
            ("alt-enter", b"\x1b\r"),
            ("alt-ctrl-c", b"\x1b\x03"),
            ("shift-tab", b"\x1b[Z"),
        ] {
            assert_eq!(key(name).as_deref(), Some(bytes), "{name}");
        }
    }

    #[test]
    fn other_names_are_no_keys() {
        for name in ["", "x", "ctrl-", "ctrl-1x", "alt-", "f13", "hyper-x", "ctrl-é"] {
            assert_eq!(key(name), None, "{name}");
        }
    }

    #[test]
    fn every_example_is_a_key() {
        for name in EXAMPLES {
            assert!(key(name).is_some(), "{name}");
        }
    }

    #[test]
    fn deep_nesting_is_no_key() {
        assert_eq!(key(&"alt-".repeat(100_000)), None);
    }
}
