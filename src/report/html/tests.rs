use super::*;
use crate::report::panel::Cell;
use crate::report::testing::{empty, study, troubled};
use roxmltree::{Document, Node, ParsingOptions};

/// The page as an XML parser sees it.
fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).expect("well-formed")
}

/// All text below a node.
fn shown(node: Node) -> String {
    node.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect()
}

fn section<'a>(page: &'a Document, id: &str) -> Node<'a, 'a> {
    page.descendants().find(|n| n.attribute("id") == Some(id)).expect("a section")
}

/// The small multiple of a method.
fn figure<'a>(section: Node<'a, 'a>, name: &str) -> Node<'a, 'a> {
    let titled = |f: &Node| {
        let title = f.descendants().find(|n| n.has_tag_name("strong"));
        title.and_then(|t| t.text()) == Some(name)
    };
    let mut figures = section.descendants().filter(|n| n.has_tag_name("figure"));
    figures.find(titled).expect("a figure of that name")
}

fn classed<'a>(node: Node<'a, 'a>, class: &str) -> Vec<Node<'a, 'a>> {
    let has = |n: &Node| n.attribute("class").is_some_and(|c| c.split(' ').any(|c| c == class));
    node.descendants().filter(has).collect()
}

#[test]
fn the_page_is_well_formed_and_loads_nothing() {
    let svg = "http://www.w3.org/2000/svg";
    for study in [study(), troubled(), empty()] {
        let html = write(&study, &[]);
        let page = parsed(&html);
        for node in page.descendants().filter(Node::is_element) {
            let name = node.tag_name().name();
            assert!(!["script", "link", "img", "iframe", "object", "base", "use"].contains(&name));
            for attribute in node.attributes() {
                let (key, value) = (attribute.name(), attribute.value());
                assert!(key != "src" && !key.starts_with("on"), "{name} {key}");
                assert!(key != "href" || value.starts_with('#'), "{value}");
                assert!(!value.contains("url("), "{name} {key}");
            }
        }
        let style = STYLE;
        for loading in ["@import", "url(", "//", "<", "&"] {
            assert!(!style.contains(loading), "{loading}");
        }
        let elsewhere = html.replace(&format!("xmlns=\"{svg}\""), "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"));
    }
}

#[test]
fn no_coordinate_is_left_without_a_number() {
    for study in [study(), troubled()] {
        let html = write(&study, &[]);
        for node in parsed(&html).descendants() {
            let drawn = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"];
            for attribute in node.attributes().filter(|a| drawn.contains(&a.name())) {
                let value: f64 = attribute.value().parse().expect("a number");
                assert!(value.is_finite(), "{attribute:?}");
            }
            for name in ["d", "points"] {
                let path = node.attribute(name).unwrap_or_default();
                assert!(!path.contains("NaN") && !path.contains("inf"), "{path}");
            }
        }
    }
}

#[test]
fn every_run_and_every_method_is_named() {
    for study in [study(), troubled()] {
        let html = write(&study, &[]);
        let page = parsed(&html);
        let runs = shown(section(&page, "runs"));
        for run in &study.runs {
            assert!(runs.contains(&run.name), "{}", run.name);
        }
        let verdicts = shown(section(&page, "verdicts"));
        for group in &Content::of(&study).groups {
            assert!(verdicts.contains(&group.name), "{}", group.name);
            for id in ["cosine", "epochs"] {
                figure(section(&page, id), &group.name);
            }
        }
    }
}

#[test]
fn a_hostile_name_stays_text() {
    let html = write(&troubled(), &[]);
    assert!(!html.contains("<script") && !html.contains("<b>"));
    let page = parsed(&html);
    assert!(shown(section(&page, "reasons")).contains("<script>\"&' | `x`"));
    assert!(shown(section(&page, "runs")).contains("<script>alert(\"1\")</script>|&"));
}

#[test]
fn what_became_of_each_run_is_said() {
    let html = write(&troubled(), &[]);
    let page = parsed(&html);
    let text = shown(section(&page, "unfinished"));
    for what in [
        "failed after 0 of 30 epochs: CUDA error",
        "interrupted after 12 of 30 epochs",
        "running, 5 of 30 epochs done",
        "diverged: ‖h‖2 was inf in epoch 7",
        "planned, no record yet",
    ] {
        assert!(text.contains(what), "{what}\n{text}");
    }
    let header = page.descendants().find(|n| n.has_tag_name("header")).unwrap();
    let header = shown(header);
    assert!(header.contains(
        "6 runs: 2 finished, 1 diverged, 1 failed, 1 interrupted, 1 running; 1 not begun"
    ));
    assert!(header.contains("bp (1 of 4 runs audited)"), "{header}");
    let fine = write(&study(), &[]);
    assert!(!fine.contains("id=\"unfinished\""));
}

#[test]
fn thresholds_are_drawn_where_they_are_and_named() {
    let html = write(&study(), &[]);
    let page = parsed(&html);
    let norms = section(&page, "norms");
    assert_eq!(classed(norms, "rule").len(), 1);
    assert!(shown(norms).contains("fires < 1e-7"));
    for methods in &Content::of(&study()).groups {
        let figure = figure(section(&page, "epochs"), &methods.name);
        assert_eq!(classed(figure, "rule").len(), 2);
        let text = shown(figure);
        assert!(text.contains("> 50") && text.contains("< 1e-7"), "{text}");
    }
    // The margin of 2 points over the frozen line, in every row.
    let accuracy = section(&page, "accuracy");
    assert!(shown(accuracy).contains("+2 points"));
    assert_eq!(classed(accuracy, "margin").len(), 5);
}

#[test]
fn a_mark_for_each_seed_and_layer_hollow_where_the_cosine_cannot_be_read() {
    let html = write(&study(), &[]);
    let page = parsed(&html);
    let cosine = section(&page, "cosine");
    for (name, hollow, bands) in [("bp", 0, 0), ("fa", 0, 3), ("dfa", 15, 5), ("dfa λ=0.01", 0, 5)]
    {
        let figure = figure(cosine, name);
        assert_eq!(classed(figure, "mark").len(), 15, "{name}");
        assert_eq!(classed(figure, "hollow").len(), hollow, "{name}");
        assert_eq!(classed(figure, "band").len(), bands, "{name}");
    }
    assert!(shown(cosine).contains("Not interpretable on 3 of 3: the reference fired."));
}

#[test]
fn the_first_firing_epoch_is_ringed_on_each_seed() {
    let html = write(&study(), &[]);
    let page = parsed(&html);
    let epochs = section(&page, "epochs");
    let dfa = figure(epochs, "dfa");
    assert_eq!(classed(dfa, "ring").len(), 6);
    assert_eq!(shown(dfa).matches("first fires in epoch").count(), 6);
    assert!(classed(figure(epochs, "bp"), "ring").is_empty());
}

#[test]
fn what_is_not_finite_is_drawn_at_the_edge_and_named() {
    let html = write(&troubled(), &[]);
    let page = parsed(&html);
    let cosine = figure(section(&page, "cosine"), "dfa");
    let marks = classed(cosine, "mark");
    assert_eq!(marks.len(), 5);
    let titled = |text: &str| marks.iter().filter(|m| shown(**m).contains(text)).count();
    assert_eq!(titled(": nan"), 3);
    assert!(shown(cosine).contains("Not finite: seed 5 (h2 nan, h3 nan, h4 nan)."));
    let norms = shown(section(&page, "norms"));
    for lost in ["dfa-s5 ‖h‖2 inf", "dfa-s5 ‖h‖4 nan", "dfa-s5 ‖g‖2 nan"] {
        assert!(norms.contains(lost), "{lost}\n{norms}");
    }
    assert_eq!(norms.matches("≤ 0").count(), 1, "a gradient of zero has its lane");
    let epochs = shown(figure(section(&page, "epochs"), "dfa"));
    assert!(epochs.contains("fires from epoch 1"), "{epochs}");
}

#[test]
fn controls_are_there_or_say_why_not() {
    let html = write(&study(), &[]);
    let text = shown(section(&parsed(&html), "controls"));
    for why in [
        "Not evaluated for bp: backpropagation has no feedback to draw.",
        "Not evaluated for dfa: the f64 forward pass left the finite numbers at h3.",
        "Not evaluated for frozen(dfa): audited without controls.",
        "9 of 15 runs",
        "samples, losses in f64)",
        "samples, losses in f32)",
        "f32 resolves the gradient of every sample: bp (3 of 3 runs), fa (3 of 3 runs)",
    ] {
        assert!(text.contains(why), "{why}\n{text}");
    }
    let html = write(&troubled(), &[]);
    let text = shown(section(&parsed(&html), "controls"));
    assert!(text.contains("Not evaluated: no run was audited with controls."), "{text}");
}

#[test]
fn extra_panels_become_shaded_tables() {
    let panel = Panel {
        title: "Decision <utility>".into(),
        note: "Which strategy flags which method.".into(),
        columns: vec!["Strategy".into(), "dfa".into()],
        rows: vec![vec!["S1".into(), Cell::shaded("●", Shade::Bad)]],
        ..Panel::default()
    };
    let html = write(&study(), &[panel.clone(), panel]);
    let page = parsed(&html);
    let extra = section(&page, "extra-2");
    assert!(shown(extra).contains("Decision <utility>"));
    assert_eq!(classed(extra, "bad").len(), 1);
    let page_order: Vec<_> = page.descendants().filter_map(|n| n.attribute("id")).collect();
    let place = |id| page_order.iter().position(|other| *other == id).unwrap();
    assert!(place("accuracy") < place("extra-1") && place("extra-2") < place("controls"));
}

#[test]
fn a_study_without_runs_says_so() {
    let html = write(&empty(), &[]);
    assert!(shown(parsed(&html).root()).contains("The study has no runs."));
}
