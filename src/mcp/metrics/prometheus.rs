//! Families of figures, and the two forms in which programs read them. Knows no figure by name.

use std::fmt::Write;

use serde::Serialize;

/// What a figure may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Only rises, until the server starts anew.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// Figures of one meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) series: Vec<Series>,
}

/// One figure; no two of a family have the same labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Series {
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub(super) labels: Labels,
    pub(super) value: f64,
}

type Labels = serde_json::Map<String, serde_json::Value>;

impl Family {
    pub(super) fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, help, kind, series: Vec::new() }
    }

    /// The same with a figure, if it is known.
    #[must_use]
    pub(super) fn with(mut self, labels: &[(&str, &str)], value: Option<f64>) -> Self {
        self.add(labels, value);
        self
    }

    /// Adds a figure, if it is known.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: Option<f64>) {
        if let Some(value) = value {
            let labels = labels.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
            self.series.push(Series { labels, value });
        }
    }
}

/// The text exposition format, version 0.0.4. A family without figures is left out.
pub(super) fn exposition(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        for series in &family.series {
            let labels: Vec<String> = series
                .labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value.as_str().unwrap_or_default())))
                .collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{}{labels} {}", family.name, series.value);
        }
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_empty_families_left_out() {
        let family = |name| Family::new(name, Kind::Gauge, "Something.");
        let families = [
            family("a")
                .with(&[("name", "x\\ \"y\"\nz"), ("id", "1")], Some(1.5))
                .with(&[("id", "2")], Some(2.0)),
            family("b").with(&[], None),
            family("c").with(&[], Some(0.25)),
        ];
        let wanted = "# HELP a Something.\n# TYPE a gauge\na{name=\"x\\\\ \\\"y\\\"\\nz\",id=\"1\"} 1.5\na{id=\"2\"} 2\n\
                      # HELP c Something.\n# TYPE c gauge\nc 0.25\n";
        assert_eq!(exposition(&families), wanted);
    }
}
