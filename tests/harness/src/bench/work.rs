//! What a handler does with a record, besides reading it.

use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The same in every arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing.
    None,
    /// It keeps a processor busy: so many steps.
    Spin(u64),
    /// It waits, as for an answer: so many milliseconds.
    Wait(u64),
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Spin(steps) => write!(f, "spin:{steps}"),
            Self::Wait(ms) => write!(f, "wait:{ms}"),
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str| n.parse().map_err(|_| format!("no number: {n}"));
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            Some(("spin", steps)) => Ok(Self::Spin(number(steps)?)),
            Some(("wait", ms)) => Ok(Self::Wait(number(ms)?)),
            _ => Err("write none, spin:STEPS or wait:MS".into()),
        }
    }
}

impl Work {
    /// Steps that keep a processor of this machine busy for so long, when nobody else wants it.
    pub(crate) fn spinning_for(duration: Duration) -> Self {
        const STEPS: u64 = 2_000_000;
        // The fastest of some: what others do to the machine only makes it slower.
        let fastest = (0..10)
            .map(|_| {
                let started = Instant::now();
                spin(STEPS);
                started.elapsed()
            })
            .min()
            .unwrap_or_default();
        let steps = duration.as_nanos() * u128::from(STEPS) / fastest.as_nanos().max(1);
        Self::Spin(u64::try_from(steps).unwrap_or(u64::MAX))
    }

    pub(crate) async fn run(self) {
        match self {
            Self::None => {}
            Self::Spin(steps) => spin(steps),
            Self::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }
}

fn spin(steps: u64) {
    let mut x = 1_u64;
    for _ in 0..steps {
        x = black_box(
            x.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        );
    }
}
