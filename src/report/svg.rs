//! The strokes that the charts are drawn with. Colours, widths and dashes are classes of the page's
//! style sheet; shapes tell seeds apart without colour.

use super::xml::{Element, Piece, pieces, tenth};

/// A drawing of `width` × `height` units that scales with its place on the page.
pub fn drawing(width: f64, height: f64, described: &str) -> Element {
    Element::new("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("viewBox", format!("0 0 {} {}", tenth(width), tenth(height)))
        .with("role", "img")
        .add(Element::new("title").text(described))
}

pub fn group(classes: &str) -> Element {
    Element::new("g").class(classes)
}

pub fn line(from: (f64, f64), to: (f64, f64), classes: &str) -> Element {
    let line = Element::new("line").class(classes);
    line.at("x1", from.0).at("y1", from.1).at("x2", to.0).at("y2", to.1)
}

/// A box between two corners, whichever way round.
pub fn area(a: (f64, f64), b: (f64, f64), classes: &str) -> Element {
    Element::new("rect")
        .class(classes)
        .at("x", a.0.min(b.0))
        .at("y", a.1.min(b.1))
        .at("width", (a.0 - b.0).abs())
        .at("height", (a.1 - b.1).abs())
}

pub fn polyline(points: &[(f64, f64)], classes: &str) -> Element {
    let points: Vec<String> =
        points.iter().map(|(x, y)| format!("{},{}", tenth(*x), tenth(*y))).collect();
    Element::new("polyline").class(classes).with("points", points.join(" "))
}

/// How a label lies to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// Text on the baseline `at`, with true subscripts.
pub fn label(at: (f64, f64), anchor: Anchor, classes: &str, text: impl AsRef<str>) -> Element {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let element =
        Element::new("text").class(classes).at("x", at.0).at("y", at.1).with("text-anchor", anchor);
    // What follows a lowered piece must be raised again.
    let mut lowered = false;
    pieces(text.as_ref()).into_iter().fold(element, |element, piece| {
        let span = |dy: &str| Element::new("tspan").with("dy", dy);
        match piece {
            Piece::Plain("") => element,
            Piece::Plain(text) if !std::mem::take(&mut lowered) => element.text(text),
            Piece::Plain(text) => element.add(span("-3").text(text)),
            Piece::Sub(text) => {
                lowered = true;
                element.add(span("3").class("sub").text(text))
            }
        }
    })
}

/// A mark whose shape is that of seed number `shape`, with what it stands for under the pointer.
pub fn mark(
    shape: usize,
    (x, y): (f64, f64),
    radius: f64,
    classes: &str,
    meaning: &str,
) -> Element {
    let classes = format!("mark {classes}");
    let element = match corners(shape) {
        None => Element::new("circle").at("cx", x).at("cy", y).at("r", radius),
        Some(corners) => {
            let path: Vec<String> = corners
                .iter()
                .map(|(dx, dy)| format!("{} {}", tenth(x + dx * radius), tenth(y + dy * radius)))
                .collect();
            Element::new("path").with("d", format!("M{}Z", path.join("L")))
        }
    };
    let element = element.class(classes);
    match meaning {
        "" => element,
        text => element.add(Element::new("title").text(text)),
    }
}

/// Corners in radii; none is a circle. Areas are about equal.
fn corners(shape: usize) -> Option<&'static [(f64, f64)]> {
    const SHAPES: [&[(f64, f64)]; 7] = [
        &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        &[(0.0, -1.25), (1.15, 0.85), (-1.15, 0.85)],
        &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        &[(0.0, 1.25), (1.15, -0.85), (-1.15, -0.85)],
        &[(-1.25, 0.0), (0.85, -1.15), (0.85, 1.15)],
        &[(1.25, 0.0), (-0.85, -1.15), (-0.85, 1.15)],
        &[(0.0, -1.2), (1.04, -0.6), (1.04, 0.6), (0.0, 1.2), (-1.04, 0.6), (-1.04, -0.6)],
    ];
    match shape % (SHAPES.len() + 1) {
        0 => None,
        i => Some(SHAPES[i - 1]),
    }
}

/// Places for labels that want to be at `wanted`, at least `gap` apart between `top` and `bottom`
/// where there is room, in the same order.
pub fn spread(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let room = (bottom - top) / wanted.len().max(1) as f64;
    let gap = gap.min(room);
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut placed = vec![0.0; wanted.len()];
    let mut free = top;
    for &i in &order {
        placed[i] = wanted[i].max(free);
        free = placed[i] + gap;
    }
    // Whatever was pushed out below moves up again.
    let mut limit = bottom;
    for &i in order.iter().rev() {
        placed[i] = f64::min(placed[i], limit);
        limit = placed[i] - gap;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        let wanted = [50.0, 52.0, 51.0, 10.0, 99.0, 98.0];
        let placed = spread(&wanted, 12.0, 0.0, 100.0);
        let mut order: Vec<usize> = (0..6).collect();
        order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
        for pair in order.windows(2) {
            assert!(placed[pair[1]] - placed[pair[0]] >= 12.0 - 1e-9, "{placed:?}");
        }
        assert!(placed.iter().all(|p| (0.0..=100.0).contains(p)), "{placed:?}");
    }

    #[test]
    fn more_labels_than_room_share_it() {
        let placed = spread(&[5.0; 20], 12.0, 0.0, 100.0);
        assert!(placed.iter().all(|p| (0.0..=100.0).contains(p)), "{placed:?}");
        assert!(placed.windows(2).all(|p| p[1] - p[0] > 4.0), "{placed:?}");
    }

    #[test]
    fn neighbouring_seeds_have_different_shapes() {
        let shapes: Vec<String> =
            (0..8).map(|s| mark(s, (0.0, 0.0), 3.0, "", "").to_string()).collect();
        for (i, shape) in shapes.iter().enumerate() {
            assert!(!shapes[..i].contains(shape), "{shape}");
        }
    }
}
