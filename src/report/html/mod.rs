//! The study as one HTML page: no script, no network, charts drawn in place. The text is at the
//! same time well-formed XML.

mod accuracy;
mod epochs;
pub mod figures;
mod layers;
mod plot;
mod scale;
mod tables;

use super::content::{self, Content, Group};
use super::panel::{Panel, Shade};
use super::xml::Element;
use crate::study::results::StudyResult;
use crate::verdict::PROTOCOL;

const STYLE: &str = include_str!("style.css");
/// A page that is asked not to load anything cannot be made to.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page; `extras` stand between the charts and the controls.
pub fn write(study: &StudyResult, extras: &[Panel]) -> String {
    let content = Content::of(study);
    let sections = sections(&content, extras);
    let contents = Element::new("nav").all(sections.iter().map(|section| {
        Element::new("a").with("href", format!("#{}", section.id)).text(&section.title)
    }));
    let body = Element::new("main")
        .add(header(&content))
        .add(contents)
        .all(sections.into_iter().map(Section::element));
    let head = Element::new("head")
        .add(Element::new("meta").with("charset", "utf-8"))
        .add(
            Element::new("meta")
                .with("http-equiv", "Content-Security-Policy")
                .with("content", POLICY),
        )
        .add(
            Element::new("meta")
                .with("name", "viewport")
                .with("content", "width=device-width, initial-scale=1"),
        )
        .add(Element::new("title").text(format!("{} – fa-audit", content.name)))
        .add(Element::new("style").verbatim(STYLE));
    let html =
        Element::new("html").with("lang", "en").add(head).add(Element::new("body").add(body));
    format!("<!DOCTYPE html>\n{html}\n")
}

struct Section {
    id: String,
    title: String,
    parts: Vec<Element>,
}

impl Section {
    fn new(id: &str, title: &str, parts: Vec<Element>) -> Self {
        Self { id: id.into(), title: title.into(), parts }
    }

    /// A panel under its own title.
    fn panel(id: &str, panel: &Panel) -> Self {
        Self::new(id, &panel.title, tables::body(panel))
    }

    fn element(self) -> Element {
        Element::new("section")
            .with("id", self.id)
            .add(Element::new("h2").text(self.title))
            .all(self.parts)
    }
}

fn sections(content: &Content, extras: &[Panel]) -> Vec<Section> {
    // Here the table says it all, and the note is for who wonders.
    let mut verdicts = tables::body(&content::verdicts(content));
    verdicts.reverse();
    verdicts.push(folded(&content::thresholds(content)));
    let mut sections = vec![Section::new("verdicts", "Verdicts", verdicts)];
    let evidence = content::evidence(content);
    if !evidence.rows.is_empty() {
        sections.push(Section::panel("evidence", &evidence));
    }
    let unfinished = content::unfinished(content);
    if !unfinished.rows.is_empty() {
        sections.push(Section::panel("unfinished", &unfinished));
    }
    let cosines = content::cosines(content);
    sections.push(Section::new(
        "cosine",
        "Cosine of credit and gradient",
        vec![
            note(
                "One mark a seed, the line is their mean. Shaded: the null band, from the smallest \
                 to the largest cosine under fresh feedback. Hollow and grey: not interpretable, \
                 because the reference fired. The last layer trains no block.",
            ),
            layers::cosines(content),
            folded(&cosines),
            folded(&content::credit(content)),
        ],
    ));
    sections.push(Section::new(
        "norms",
        "Norms by layer",
        vec![
            note(&format!(
                "Logarithmic. Lines are means over seeds, marks the seeds. The reference is the \
                 gradient of the batch-mean loss, proportional to 1/N ({}).",
                batch_sizes(content)
            )),
            layers::norms(content),
            folded(&content::norms(content)),
        ],
    ));
    sections.push(Section::new(
        "epochs",
        "Growth and reference over epochs",
        vec![
            note(
                "Logarithmic, one line a seed; the mark at its end is the newest epoch, hollow \
                 where the run did not finish. A ring marks the first epoch in which the \
                 diagnostic fires.",
            ),
            epochs::timelines(content),
        ],
    ));
    sections.push(Section::new(
        "accuracy",
        "Accuracy over frozen blocks",
        vec![
            note(
                "One mark a seed, the stroke is their mean, the bar the sample standard deviation. \
                 The line is the accuracy of the frozen twins; depth utility fires unless the mean \
                 lies to the right of the shaded margin. Hollow: the newest epoch of a run that \
                 was not audited.",
            ),
            accuracy::chart(content),
            folded(&content::accuracies(content)),
        ],
    ));
    for (i, extra) in extras.iter().enumerate() {
        sections.push(Section::panel(&format!("extra-{}", i + 1), extra));
    }
    let controls: Vec<Element> = content::controls(content)
        .iter()
        .map(|(panel, runs)| folded_with(panel, format!("{runs} of {} runs", content.runs.len())))
        .collect();
    sections.push(match controls.is_empty() {
        true => Section::new("controls", "Controls", vec![note(content::NO_CONTROLS)]),
        false => Section::new("controls", "Controls", controls),
    });
    sections.push(Section::new("reasons", "Reasons", reasons(content)));
    let mut runs = Section::panel("runs", &content::runs(content));
    runs.parts.push(folded(&content::runs_provenance(content)));
    sections.push(runs);
    sections.push(Section::panel("provenance", &content::shared_provenance(content)));
    sections
}

fn note(text: &str) -> Element {
    Element::new("p").class("note").prose(text)
}

/// A panel that can be folded away; print shows it open.
fn folded(panel: &Panel) -> Element {
    folded_with(panel, String::new())
}

/// With a remark that can be read while it is folded.
fn folded_with(panel: &Panel, remark: String) -> Element {
    let mut summary = Element::new("summary").text(&panel.title);
    if !remark.is_empty() {
        summary = summary.add(Element::new("span").text(remark));
    }
    Element::new("details").add(summary).all(tables::body(panel))
}

fn header(content: &Content) -> Element {
    let setting = content::setting(content).into_iter().map(|(name, value)| {
        Element::new("div").add(Element::new("dt").text(name)).add(Element::new("dd").text(value))
    });
    Element::new("header")
        .add(Element::new("p").class("kicker").text(format!("fa-audit · protocol {PROTOCOL}")))
        .add(Element::new("h1").text(content.name))
        .add(Element::new("p").class("headline").text(content.headline()))
        .add(
            Element::new("ul")
                .class("gists")
                .all(content.gists().into_iter().map(|line| Element::new("li").text(line))),
        )
        .add(Element::new("p").class("standing").text(content.standing()))
        .add(Element::new("dl").all(setting))
}

fn batch_sizes(content: &Content) -> String {
    let audits: Vec<_> = content.groups.iter().flat_map(Group::audits).collect();
    let sizes = content::words::distinct(&audits, |a| {
        let sizes: Vec<String> = a.evaluation.batch_sizes.iter().map(usize::to_string).collect();
        sizes.join("/")
    });
    match sizes.as_str() {
        "" => "no run was audited".into(),
        sizes => format!("N = {sizes}"),
    }
}

/// Why each verdict is what it is: the pooled one, then seed by seed.
fn reasons(content: &Content) -> Vec<Element> {
    content
        .groups
        .iter()
        .map(|group| {
            let (verdict, shade) = group.verdict();
            let shade = match shade {
                Shade::Good => "good",
                Shade::Bad => "bad",
                Shade::Muted | Shade::None => "muted",
            };
            let head = Element::new("h3")
                .add(Element::new("span").text(&group.name))
                .add(Element::new("span").class(format!("pill {shade}")).text(verdict));
            let mut article = Element::new("article")
                .class("reasons")
                .add(head)
                .add(Element::new("p").text(content::because(group)));
            for reasoned in content::reasons(group) {
                article = article.add(Element::new("h4").text(reasoned.who)).add(
                    Element::new("ul")
                        .all(reasoned.sentences.iter().map(|text| Element::new("li").prose(text))),
                );
            }
            article
        })
        .chain(notes(content))
        .collect()
}

fn notes(content: &Content) -> Option<Element> {
    let notes = content::notes(content);
    let items = notes.iter().map(|text| Element::new("li").prose(text));
    (!notes.is_empty()).then(|| {
        Element::new("article")
            .class("reasons")
            .add(Element::new("h3").text("Notes"))
            .add(Element::new("ul").all(items))
    })
}

#[cfg(test)]
mod tests;
