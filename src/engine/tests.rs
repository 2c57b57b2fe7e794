//! The engine's rules, without a clock or a terminal.
