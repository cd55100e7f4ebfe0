//! A frame of two axes, and what is drawn in every chart alike.

use super::scale::{Scale, Tick};
use crate::report::content::{Content, Group};
use crate::report::svg::{Anchor, area, group, label, line, mark, polyline};
use crate::report::xml::Element;

pub struct Plot {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x: Scale,
    pub y: Scale,
}

impl Plot {
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// Grid, tick labels and, where they are not empty, the axes' titles.
    pub fn frame(&self, x: &[Tick], y: &[Tick], x_title: &str) -> Element {
        let mut frame = group("frame");
        for tick in y {
            let classes = if tick.lane { "lane" } else { "grid" };
            frame = frame
                .add(line((self.left, tick.at), (self.right, tick.at), classes))
                .add(label((self.left - 6.0, tick.at + 3.5), Anchor::End, "tick", &tick.label));
        }
        for tick in x {
            if tick.lane {
                frame = frame.add(line((tick.at, self.top), (tick.at, self.bottom), "lane"));
            }
            frame = frame
                .add(line((tick.at, self.bottom), (tick.at, self.bottom + 4.0), "base"))
                .add(label((tick.at, self.bottom + 15.0), Anchor::Middle, "tick", &tick.label));
        }
        frame = frame.add(line((self.left, self.bottom), (self.right, self.bottom), "base"));
        if !x_title.is_empty() {
            let middle = (self.left + self.right) / 2.0;
            let at = (middle, self.bottom + 29.0);
            frame = frame.add(label(at, Anchor::Middle, "axis", x_title));
        }
        frame
    }

    /// A threshold across the plot.
    pub fn threshold(&self, value: f64) -> Element {
        let y = self.y.at(value);
        line((self.left, y), (self.right, y), "rule")
    }

    /// A line through the points, broken where a value has no place on the axis.
    pub fn line(&self, points: &[(f64, f64)], classes: &str) -> Vec<Element> {
        points
            .split(|(_, y)| !self.y.holds(*y))
            .filter(|piece| piece.len() > 1)
            .map(|piece| {
                let piece: Vec<_> = piece.iter().map(|(x, y)| self.at(*x, *y)).collect();
                polyline(&piece, classes)
            })
            .collect()
    }

    /// The area between `low` and `high` around `x`.
    pub fn band(&self, x: f64, half: f64, [low, high]: [f64; 2]) -> Element {
        area(self.at(x - half, low), self.at(x + half, high), "band")
    }
}

/// The colour of a method, the same in every chart: a class of the style sheet.
pub fn hue(content: &Content, index: usize) -> String {
    if content.groups[index].is_baseline {
        return "hue-b".into();
    }
    let place = content.groups[..index].iter().filter(|g| !g.is_baseline).count();
    format!("hue-{}", place % 7)
}

/// Beside their place, so that `n` runs do not cover each other.
pub fn aside(i: usize, n: usize, room: f64) -> f64 {
    match n {
        0 | 1 => 0.0,
        n => (i as f64 / (n - 1) as f64 - 0.5) * room,
    }
}

/// How small multiples lie side by side.
#[derive(Clone, Copy)]
pub struct Grid {
    columns: usize,
    /// Of one drawing.
    pub width: f64,
}

impl Grid {
    /// As many columns as leave the fewest places empty in the last row.
    pub fn of(figures: usize) -> Self {
        let empty = |columns: &usize| (columns - figures % columns) % columns;
        let columns = match figures {
            0..=4 => 4,
            5 => 5,
            _ => [4, 5, 3].into_iter().min_by_key(empty).unwrap_or(4),
        };
        Self { columns, width: (1120.0 - 16.0 * (columns - 1) as f64) / columns as f64 }
    }

    pub fn filled(self, figures: impl IntoIterator<Item = Element>) -> Element {
        Element::new("div").class(format!("multiples of-{}", self.columns)).all(figures)
    }
}

/// A small multiple: a method's name, a remark, its drawing.
pub fn figure(group: &Group, hue: &str, remark: String, drawing: Element) -> Element {
    let mut caption = Element::new("figcaption")
        .add(Element::new("strong").class(format!("name {hue}")).text(&group.name));
    if !remark.is_empty() {
        caption = caption.add(Element::new("span").class("remark").prose(&remark));
    }
    Element::new("figure").add(caption).add(drawing)
}

/// Which shape stands for which seed.
pub fn seeds(content: &Content) -> Element {
    let entries = content.seeds.iter().enumerate().map(|(i, seed)| {
        let icon = Element::new("svg")
            .with("viewBox", "0 0 12 12")
            .with("aria-hidden", "true")
            .add(mark(i, (6.0, 6.0), 4.0, "plain", ""));
        Element::new("li").add(icon).add(Element::new("span").text(seed.to_string()))
    });
    let name = if content.seeds.len() == 1 { "Seed" } else { "Seeds" };
    Element::new("ul")
        .class("seeds")
        .add(Element::new("li").text(format!("{name} in every chart:")))
        .all(entries)
}

/// Names what is not finite: `not finite: seed 42 (h_3 nan, h_4 inf)`.
pub fn lost(found: &[(u64, String)]) -> String {
    let mut seeds: Vec<(u64, Vec<&str>)> = Vec::new();
    for (seed, what) in found {
        match seeds.iter_mut().find(|(s, _)| s == seed) {
            Some((_, all)) => all.push(what),
            None => seeds.push((*seed, vec![what])),
        }
    }
    let each: Vec<String> = seeds
        .iter()
        .map(|(seed, all)| match all.as_slice() {
            [first, .., last] if all.len() > 4 => format!("seed {seed} ({first} … {last})"),
            all => format!("seed {seed} ({})", all.join(", ")),
        })
        .collect();
    match each.is_empty() {
        true => String::new(),
        false => format!("Not finite: {}.", each.join("; ")),
    }
}
