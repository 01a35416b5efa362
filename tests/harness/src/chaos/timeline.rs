//! A scenario as a picture: records over time, what was done to whom, and a lane for each worker.

use std::fmt::Write as _;

use super::clock::Nanos;
use super::evidence::{End, Evidence, StrikeKind};
use super::ledger::Entry;

const WIDTH: u64 = 1000;
const LEFT: u64 = 60;
const RIGHT: u64 = 20;
/// Title and the names of faults are above.
const TOP: u64 = 120;
const CURVE: u64 = 160;
const LANE: u64 = 22;

/// How many points the curve has.
const POINTS: usize = 150;

/// Draws a scenario as SVG. `finishes` has when each record was finished first, in the order of time.
pub(crate) fn draw(title: &str, evidence: &Evidence, finishes: &[Nanos]) -> String {
    let begin = evidence
        .processes
        .iter()
        .map(|process| process.spawned)
        .min()
        .unwrap_or(0);
    let end = evidence
        .processes
        .iter()
        .map(|process| process.ended)
        .max()
        .unwrap_or(1);
    let lanes = evidence
        .processes
        .iter()
        .map(|process| process.lane + 1)
        .max()
        .unwrap_or(0);
    let picture = Picture {
        begin,
        end: end.max(begin + 1),
        svg: String::new(),
        bottom: TOP + CURVE + 10 + LANE * u64::try_from(lanes).unwrap_or(0),
    };
    picture.draw(title, evidence, finishes).unwrap_or_default()
}

struct Picture {
    begin: Nanos,
    end: Nanos,
    svg: String,
    bottom: u64,
}

impl Picture {
    fn draw(
        mut self,
        title: &str,
        evidence: &Evidence,
        finishes: &[Nanos],
    ) -> Result<String, std::fmt::Error> {
        let height = self.bottom + 40 + 15 * LEGEND.len() as u64;
        write!(
            self.svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="{LEFT}" y="18" font-size="14">{title}</text>
"##
        )?;
        self.shade(
            &evidence.outages(),
            "#fde2e2",
            "brokers, or the way to them, away",
        )?;
        self.shade(&evidence.denials(), "#fff1d6", "dead letters denied")?;
        self.curve(finishes)?;
        self.lanes(evidence)?;
        self.strikes(evidence)?;
        self.axis()?;
        self.legend()?;
        self.svg.push_str("</svg>\n");
        Ok(self.svg)
    }

    fn x(&self, ns: Nanos) -> u64 {
        let ns = ns.clamp(self.begin, self.end) - self.begin;
        let wide =
            u128::from(ns) * u128::from(WIDTH - LEFT - RIGHT) / u128::from(self.end - self.begin);
        LEFT + u64::try_from(wide).unwrap_or(0)
    }

    fn shade(&mut self, spans: &[(Nanos, Nanos)], color: &str, what: &str) -> std::fmt::Result {
        for (from, until) in spans {
            let (from, until) = (self.x(*from), self.x(*until));
            let (width, height) = (until - from, self.bottom - TOP);
            writeln!(
                self.svg,
                r#"<rect x="{from}" y="{TOP}" width="{width}" height="{height}" fill="{color}"><title>{what}</title></rect>"#
            )?;
        }
        Ok(())
    }

    /// Records finished in a second.
    fn curve(&mut self, finishes: &[Nanos]) -> std::fmt::Result {
        let step = (self.end - self.begin) / POINTS as u64 + 1;
        let mut counts = vec![0_u64; POINTS];
        for ns in finishes {
            let point = usize::try_from(ns.saturating_sub(self.begin) / step).unwrap_or(0);
            if let Some(count) = counts.get_mut(point) {
                *count += 1;
            }
        }
        let rates: Vec<u64> = counts
            .iter()
            .map(|count| count * 1_000_000_000 / step)
            .collect();
        let most = rates.iter().copied().max().unwrap_or(0).max(1);
        let mut points = String::new();
        for (point, rate) in (0..).zip(&rates) {
            let x = self.x(self.begin + step * point + step / 2);
            write!(points, "{x},{} ", TOP + CURVE - rate * (CURVE - 10) / most)?;
        }
        let base = TOP + CURVE;
        let half = base - (CURVE - 10) / 2;
        writeln!(
            self.svg,
            r##"<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>
<line x1="{LEFT}" y1="{base}" x2="{}" y2="{base}" stroke="#999999"/>
<line x1="{LEFT}" y1="{half}" x2="{}" y2="{half}" stroke="#e0e0e0"/>
<text x="{}" y="{}" text-anchor="end">{most}</text>
<text x="{}" y="{}" text-anchor="end">{}</text>
<text x="{}" y="{base}" text-anchor="end">0</text>
<text transform="translate(14 {base}) rotate(-90)" fill="#1f6feb">records finished per second</text>"##,
            WIDTH - RIGHT,
            WIDTH - RIGHT,
            LEFT - 5,
            TOP + 14,
            LEFT - 5,
            half + 4,
            most / 2,
            LEFT - 5
        )
    }

    /// A bar for each process; darker where it has partitions, hatched out where it sleeps.
    fn lanes(&mut self, evidence: &Evidence) -> std::fmt::Result {
        for process in &evidence.processes {
            let y = TOP + CURVE + 10 + LANE * u64::try_from(process.lane).unwrap_or(0);
            let (from, until) = (self.x(process.spawned), self.x(process.ended));
            let width = (until - from).max(1);
            let text = y + 12;
            writeln!(
                self.svg,
                r##"<text x="{}" y="{text}" text-anchor="end">w{}</text>
<rect x="{from}" y="{y}" width="{width}" height="16" fill="#cfe3cf"><title>{}</title></rect>"##,
                LEFT - 5,
                process.lane + 1,
                process.name
            )?;
            for (from, until) in &process.suspensions {
                let (from, until) = (self.x(*from), self.x(*until));
                let width = until - from;
                writeln!(
                    self.svg,
                    r##"<rect x="{from}" y="{y}" width="{width}" height="16" fill="#b8b8b8"><title>asleep</title></rect>"##
                )?;
            }
            for line in &process.lines {
                let (color, what) = match &line.entry {
                    Entry::Assigned(partitions) => {
                        ("#2e7d32", format!("assigned {}", partitions.len()))
                    }
                    Entry::Revoked { partitions, .. } => {
                        ("#f9a825", format!("revoked {}", partitions.len()))
                    }
                    Entry::Lost(partitions) => ("#c62828", format!("lost {}", partitions.len())),
                    _ => continue,
                };
                let x = self.x(line.ns);
                writeln!(
                    self.svg,
                    r#"<rect x="{x}" y="{y}" width="2" height="16" fill="{color}"><title>{what}</title></rect>"#
                )?;
            }
            let mark = match process.end {
                End::Killed => "✕",
                End::Terminated { .. } => "▪",
                End::Hung { .. } => "?",
                End::ByItself(_) => "!",
            };
            writeln!(
                self.svg,
                r##"<text x="{}" y="{text}" fill="#c62828">{mark}</text>"##,
                until + 1
            )?;
        }
        Ok(())
    }

    fn strikes(&mut self, evidence: &Evidence) -> std::fmt::Result {
        // Names lean to the right, and those of faults that follow each other closely make room for each other.
        let mut next = 0;
        for strike in &evidence.strikes {
            let color = match strike.kind {
                StrikeKind::Kill
                | StrikeKind::Outage
                | StrikeKind::Denied
                | StrikeKind::Deleted => "#c62828",
                StrikeKind::Suspend => "#6a1b9a",
                StrikeKind::Terminate => "#ef6c00",
                StrikeKind::Join
                | StrikeKind::Resume
                | StrikeKind::Healed
                | StrikeKind::Allowed => "#2e7d32",
            };
            let x = self.x(strike.ns);
            let label = x.max(next);
            next = label + LEAN;
            writeln!(
                self.svg,
                r#"<line x1="{x}" y1="{TOP}" x2="{x}" y2="{}" stroke="{color}" stroke-dasharray="3 3"/>
<line x1="{label}" y1="{}" x2="{x}" y2="{TOP}" stroke="{color}"/>
<text transform="translate({label} {}) rotate(-50)" font-size="10" fill="{color}">{}</text>"#,
                self.bottom,
                TOP - 8,
                TOP - 10,
                short(&strike.what)
            )?;
        }
        Ok(())
    }

    fn axis(&mut self) -> std::fmt::Result {
        let seconds = (self.end - self.begin) / 1_000_000_000;
        let step = (seconds / 10).max(1);
        let y = self.bottom + 14;
        for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(self.begin + second * 1_000_000_000);
            writeln!(
                self.svg,
                r#"<text x="{x}" y="{y}" text-anchor="middle">{second} s</text>"#
            )?;
        }
        writeln!(
            self.svg,
            r#"<text x="{}" y="{}" text-anchor="end">time since the first worker was started</text>"#,
            WIDTH - RIGHT,
            y + 15
        )
    }

    fn legend(&mut self) -> std::fmt::Result {
        for (line, entries) in (0..).zip(LEGEND) {
            let y = self.bottom + 44 + 15 * line;
            let mut x = LEFT;
            for (mark, color, text) in entries {
                writeln!(
                    self.svg,
                    r##"<text x="{x}" y="{y}" fill="{color}">{mark}</text><text x="{}" y="{y}" fill="#333333">{text}</text>"##,
                    x + 14
                )?;
                x += 30 + 6 * text.len() as u64;
            }
        }
        Ok(())
    }
}

/// How far the names of two faults are apart at least.
const LEAN: u64 = 13;

type LegendEntry = (&'static str, &'static str, &'static str);

const LEGEND: [&[LegendEntry]; 3] = [
    &[
        ("┆", "#c62828", "killed, cut off, denied, deleted"),
        ("┆", "#ef6c00", "told to stop (SIGTERM)"),
        ("┆", "#6a1b9a", "suspended (SIGSTOP)"),
        ("┆", "#2e7d32", "started, resumed, healed"),
    ],
    &[
        ("■", "#fde2e2", "brokers, or the way to them, away"),
        ("■", "#fff1d6", "dead letters denied"),
    ],
    &[
        ("■", "#cfe3cf", "w1, w2, …: a worker runs"),
        ("■", "#b8b8b8", "asleep"),
        ("▮", "#2e7d32", "partitions assigned"),
        ("▮", "#f9a825", "revoked"),
        ("▮", "#c62828", "lost"),
        ("✕", "#c62828", "killed"),
        ("▪", "#c62828", "ended in order"),
    ],
];

/// A fault that names many workers would not be read.
fn short(what: &str) -> String {
    if what.chars().count() <= 22 {
        return what.to_owned();
    }
    what.chars().take(21).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::chaos::evidence::{End, Evidence, Process, Strike, StrikeKind};

    #[test]
    fn a_picture_has_every_worker_and_every_fault() {
        let process = |name: &str, lane| Process {
            name: name.into(),
            lane,
            spawned: 1_000_000_000,
            ended: 9_000_000_000,
            end: End::Killed,
            suspensions: vec![(2_000_000_000, 3_000_000_000)],
            lines: Vec::new(),
        };
        let evidence = Evidence {
            processes: vec![process("w1.1", 0), process("w2.2", 1)],
            strikes: vec![Strike {
                ns: 4_000_000_000,
                what: "kill w1.1".into(),
                kind: StrikeKind::Kill,
            }],
            ..Evidence::default()
        };

        let svg = draw("kills", &evidence, &[2_000_000_000, 2_100_000_000]);

        for text in [
            "w1.1",
            "w2.2",
            "kill w1.1",
            "asleep",
            "<polyline",
            "records finished per second",
            "</svg>",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(draw("nothing", &Evidence::default(), &[]).ends_with("</svg>\n"));
    }
}
