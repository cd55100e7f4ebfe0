//! The first difference of two pages of HTML or XML.

use super::difference::{NOTHING, Place};
use super::texts::{common, word};

/// `printed` and `recomputed` differ somewhere.
pub fn first(printed: &str, recomputed: &str) -> Place {
    let at = common(printed, recomputed);
    let before = &recomputed[..at];
    let section = last_text(before, "h2").or_else(|| last_text(before, "h1"));
    let mut row = section.map_or("the head".into(), |title| format!("\"{title}\""));
    let words = (word(printed, at).to_owned(), word(recomputed, at).to_owned());
    let is_in_a_tag = before.rfind('<') > before.rfind('>');
    if is_in_a_tag {
        let tag = before.rfind('<').map_or("", |start| &before[start + 1..]);
        let name = tag.split_whitespace().next().unwrap_or_default();
        let quoted = tag.matches('"').count() % 2 == 1;
        let column = match quoted {
            true => tag.rsplit_once("=\"").and_then(|(head, _)| head.rsplit(' ').next()),
            false => None,
        };
        row += &format!(", element {name}");
        // Of a list of numbers the one that differs.
        return Place {
            row,
            column: column.unwrap_or_default().into(),
            printed: words.0,
            recomputed: words.1,
        };
    }
    if let Some(start) = row_around(before) {
        let cells_so_far =
            before[start..].matches("<td").count() + before[start..].matches("<th").count();
        let column = cells_so_far - 1;
        let table = before.rfind("<table").unwrap_or(0);
        let heading = recomputed[table..].find("<tr").map(|row| cells(&recomputed[table + row..]));
        let (old, new) = (cells(&printed[start..]), cells(&recomputed[start..]));
        let cell = |row: &[String]| row.get(column).cloned().unwrap_or_else(|| NOTHING.into());
        row += &format!(", row {}", new.first().map_or("", String::as_str));
        return Place {
            row,
            column: heading.map(|heading| cell(&heading)).unwrap_or_default(),
            printed: cell(&old),
            recomputed: cell(&new),
        };
    }
    Place { row, column: String::new(), printed: words.0, recomputed: words.1 }
}

/// Where the row of a table begins in one of whose cells `before` ends.
fn row_around(before: &str) -> Option<usize> {
    let start = before.rfind("<tr")?;
    let row = &before[start..];
    let last = |a: &str, b: &str| row.rfind(a).max(row.rfind(b));
    (last("<td", "<th") > last("</td>", "</th>")).then_some(start)
}

/// The text of the last `<tag>` that was closed.
fn last_text(before: &str, tag: &str) -> Option<String> {
    let end = before.rfind(&format!("</{tag}>"))?;
    let start = before[..end].rfind(&format!("<{tag}"))?;
    Some(plain(&before[start..end]))
}

/// The cells of the row that `text` begins with.
fn cells(text: &str) -> Vec<String> {
    let row = &text[..text.find("</tr>").unwrap_or(text.len())];
    let starts = row.match_indices("<t").map(|(start, _)| start);
    let is_cell =
        |start: &usize| row[*start..].starts_with("<td") || row[*start..].starts_with("<th");
    let cell = |start: usize| {
        let rest = &row[start..];
        let ends = ["</td>", "</th>"].map(|end| rest.find(end).unwrap_or(rest.len()));
        plain(&rest[..ends[0].min(ends[1])])
    };
    starts.filter(is_cell).map(cell).collect()
}

/// Without tags, and with single spaces.
fn plain(html: &str) -> String {
    let parts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = parts.collect::<Vec<_>>().join(" ");
    let text = text.replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", "\"");
    text.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<h1>s</h1><h2>Verdicts</h2><table><thead><tr><th>Method</th><th>Growth \
                        &gt; 50</th></tr></thead><tbody><tr><td>dfa</td><td>60.2 <small>3/3</small>\
                        </td></tr></tbody></table><h2>Chart</h2><circle cx=\"1.5\" cy=\"2\"/>\
                        <p>It is 7 points.</p>";

    fn changed(from: &str, to: &str) -> [String; 4] {
        let place = first(&PAGE.replacen(from, to, 1), PAGE);
        [place.row, place.column, place.printed, place.recomputed]
    }

    #[test]
    fn a_cell_is_named_by_section_row_and_column() {
        let found = changed("60.2", "60.3");
        assert_eq!(found, ["\"Verdicts\", row dfa", "Growth > 50", "60.3 3/3", "60.2 3/3"]);
    }

    #[test]
    fn a_mark_of_a_chart_is_named_by_its_element_and_attribute() {
        assert_eq!(changed("1.5", "1.6"), ["\"Chart\", element circle", "cx", "1.6", "1.5"]);
    }

    #[test]
    fn a_sentence_is_named_by_its_section() {
        assert_eq!(changed("7 points", "8 points"), ["\"Chart\"", "", "8", "7"]);
    }
}
