//! Where a value falls along an axis. What is not finite, or not positive on a logarithmic axis,
//! has a lane of its own beyond the end: it is drawn, and never lost.

use crate::verdict::plain;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleKind {
    Linear,
    /// Decades.
    Log,
}

/// An axis from pixel `from` (its low end) to pixel `to`.
#[derive(Clone, Debug)]
pub struct Scale {
    kind: ScaleKind,
    /// In decades where logarithmic.
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    lanes: Vec<(Lane, f64)>,
}

/// Values without a place on the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Below,
    Infinite,
    Undefined,
}

/// A place on the axis with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub label: String,
    /// Whether it marks a lane.
    pub lane: bool,
}

impl Scale {
    /// From `low` to `high` as they are.
    pub fn span(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { kind: ScaleKind::Linear, low, high, from, to, lanes: Vec::new() }
    }

    /// Wide enough for all `values`, with some air, and with lanes of `lane` pixels where needed.
    pub fn fit(kind: ScaleKind, values: &[f64], from: f64, to: f64, lane: f64) -> Self {
        let mut scale = Self { kind, low: 0.0, high: 1.0, from, to, lanes: Vec::new() };
        let placed: Vec<f64> = values.iter().filter_map(|v| scale.coordinate(*v).ok()).collect();
        let low = placed.iter().copied().fold(f64::INFINITY, f64::min);
        let high = placed.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low <= high {
            let least = if kind == ScaleKind::Log { 1.0 } else { 1e-3 };
            let air = ((high - low) * 0.06).max((least - (high - low)) / 2.0);
            (scale.low, scale.high) = (low - air, high + air);
        }
        // The lanes beyond the high end take their pixels from the axis, as the one below it does.
        let towards = (to - from).signum() * lane;
        let met: Vec<Lane> = values.iter().filter_map(|v| scale.coordinate(*v).err()).collect();
        for kind in [Lane::Undefined, Lane::Infinite] {
            if met.contains(&kind) {
                scale.lanes.push((kind, scale.to - towards / 2.0));
                scale.to -= towards;
            }
        }
        if met.contains(&Lane::Below) {
            scale.lanes.push((Lane::Below, from + towards / 2.0));
            scale.from += towards;
        }
        scale
    }

    fn coordinate(&self, value: f64) -> Result<f64, Lane> {
        match (self.kind, value) {
            (_, v) if v.is_nan() => Err(Lane::Undefined),
            (_, v) if v == f64::INFINITY => Err(Lane::Infinite),
            (_, v) if v == f64::NEG_INFINITY => Err(Lane::Below),
            (ScaleKind::Linear, v) => Ok(v),
            (ScaleKind::Log, v) if v > 0.0 => Ok(v.log10()),
            (ScaleKind::Log, _) => Err(Lane::Below),
        }
    }

    /// The pixel of `value`.
    pub fn at(&self, value: f64) -> f64 {
        match self.coordinate(value) {
            Ok(c) => self.from + (c - self.low) / (self.high - self.low) * (self.to - self.from),
            Err(lane) => {
                let found = self.lanes.iter().find(|(kind, _)| *kind == lane);
                found.map_or(if lane == Lane::Below { self.from } else { self.to }, |(_, at)| *at)
            }
        }
    }

    /// Whether `value` has a place on the axis itself, where lines may run.
    pub fn holds(&self, value: f64) -> bool {
        self.coordinate(value).is_ok()
    }

    /// About `count` round values, and the lanes.
    pub fn ticks(&self, count: usize) -> Vec<Tick> {
        let mut ticks: Vec<Tick> = match self.kind {
            ScaleKind::Linear => self.linear_ticks(count),
            ScaleKind::Log => self.decades(count),
        };
        // A lane's label goes before that of a tick beside it.
        ticks.retain(|tick| self.lanes.iter().all(|(_, at)| (tick.at - at).abs() > 11.0));
        ticks.extend(self.lanes.iter().map(|(lane, at)| Tick {
            at: *at,
            label: match (lane, self.kind) {
                (Lane::Undefined, _) => "nan".into(),
                (Lane::Infinite, _) => "inf".into(),
                (Lane::Below, ScaleKind::Log) => "≤ 0".into(),
                (Lane::Below, ScaleKind::Linear) => "-inf".into(),
            },
            lane: true,
        }));
        ticks
    }

    /// Round values whose labels are whole numbers, such as layers and epochs.
    pub fn whole_ticks(&self, count: usize) -> Vec<Tick> {
        let step = round_step((self.high - self.low) / count as f64).max(1.0);
        self.multiples(step)
    }

    fn linear_ticks(&self, count: usize) -> Vec<Tick> {
        self.multiples(round_step((self.high - self.low) / count as f64))
    }

    fn multiples(&self, step: f64) -> Vec<Tick> {
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                Tick { at: self.at(value), label: format!("{value:.decimals$}"), lane: false }
            })
            .collect()
    }

    fn decades(&self, count: usize) -> Vec<Tick> {
        let (first, last) = (self.low.ceil() as i32, self.high.floor() as i32);
        let step = ((last - first).max(0) as usize / count.max(1) + 1) as i32;
        let shown: Vec<i32> = (first..=last).filter(|e| e.rem_euclid(step) == 0).collect();
        let short = shown.iter().all(|e| (-2..=3).contains(e));
        shown
            .into_iter()
            .map(|e| {
                let value = 10f64.powi(e);
                let label = if short { plain(value) } else { format!("1e{e}") };
                Tick { at: self.at(value), label, lane: false }
            })
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let unit = 10f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0];
    unit * times.into_iter().find(|t| t * unit >= step * 0.999).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|t| t.label.as_str()).collect()
    }

    #[test]
    fn every_value_has_a_place_inside_the_axis() {
        let values = [1e-9, 0.0, -3.0, 1e8, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for kind in [ScaleKind::Linear, ScaleKind::Log] {
            let scale = Scale::fit(kind, &values, 200.0, 10.0, 14.0);
            for v in values {
                let at = scale.at(v);
                assert!((10.0..=200.0).contains(&at), "{kind:?} {v}: {at}");
            }
            assert!(scale.at(f64::NAN) < scale.at(f64::INFINITY));
            assert!(scale.at(f64::INFINITY) < scale.at(1e8));
            assert!(scale.at(f64::NEG_INFINITY) > scale.at(1e-9));
            let shown = scale.ticks(5);
            assert!(labels(&shown).contains(&"nan") && labels(&shown).contains(&"inf"));
        }
    }

    #[test]
    fn a_scale_without_any_place_or_with_one_value_still_works() {
        for values in [&[][..], &[f64::NAN], &[5.0], &[0.0]] {
            for kind in [ScaleKind::Linear, ScaleKind::Log] {
                let scale = Scale::fit(kind, values, 100.0, 0.0, 14.0);
                for v in values {
                    assert!((0.0..=100.0).contains(&scale.at(*v)), "{kind:?} {values:?}");
                }
                assert!(scale.ticks(4).iter().all(|t| t.at.is_finite()));
            }
        }
    }

    #[test]
    fn ticks_are_round() {
        let scale = Scale::fit(ScaleKind::Linear, &[0.0, 1.0], 0.0, 100.0, 14.0);
        assert_eq!(labels(&scale.ticks(5)), ["0.0", "0.5", "1.0"]);
        let decades = Scale::fit(ScaleKind::Log, &[3e-9, 2e-3], 0.0, 100.0, 14.0);
        assert_eq!(labels(&decades.ticks(4)), ["1e-8", "1e-6", "1e-4"]);
        let growth = Scale::fit(ScaleKind::Log, &[0.9, 2000.0], 0.0, 100.0, 14.0);
        assert_eq!(labels(&growth.ticks(5)), ["1", "10", "100", "1000"]);
        let epochs = Scale::span(1.0, 30.0, 0.0, 100.0);
        assert_eq!(labels(&epochs.whole_ticks(4)), ["10", "20", "30"]);
    }
}
