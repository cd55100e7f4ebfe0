use super::super::array::Dtype;
use super::*;

/// An array of f64: 0, 1, 2, … in the order in which they are stored.
fn array(name: &str, shape: &[usize]) -> Array<'static> {
    let count: usize = shape.iter().product();
    let bytes = (0..count).flat_map(|i| (i as f64).to_le_bytes()).collect::<Vec<u8>>();
    let (shape, dtype) = (shape.to_vec(), Dtype::F64);
    Array { name: name.into(), shape, dtype, fortran: false, bytes: bytes.into() }
}

fn labels(name: &str, classes: &[u8]) -> Array<'static> {
    let (shape, dtype, bytes) = (vec![classes.len()], Dtype::U8, classes.to_vec().into());
    Array { name: name.into(), shape, dtype, fortran: false, bytes }
}

/// Two batches of 2 and 3 samples, three layers of widths 4, 4 and 5, everything recorded.
fn whole() -> Vec<Array<'static>> {
    let mut all = Vec::new();
    for (k, n) in [(0, 2), (1, 3)] {
        for field in ["h", "g", "a"] {
            for (l, d) in [(0, 4), (1, 4), (2, 5)] {
                all.push(array(&format!("batch.{k}.{field}.{l}"), &[n, d]));
            }
        }
        all.push(array(&format!("batch.{k}.logits"), &[n, 3]));
        all.push(labels(&format!("batch.{k}.labels"), &[2, 0, 1][..n]));
    }
    all
}

fn put(arrays: Vec<Array<'static>>) -> Result<LayerTrace> {
    assemble(&TraceInfo::default(), arrays.into_iter().map(Ok))
}

fn refusal(arrays: Vec<Array<'static>>) -> String {
    put(arrays).expect_err("refused").to_string()
}

/// The whole trace without these arrays.
fn without(names: &[&str]) -> Vec<Array<'static>> {
    whole().into_iter().filter(|a| !names.contains(&a.name.as_str())).collect()
}

/// The whole trace with one array in another's place.
fn with(replacement: Array<'static>) -> Vec<Array<'static>> {
    let mut all = without(&[&replacement.name]);
    all.push(replacement);
    all
}

#[test]
fn a_whole_trace_is_put_together_in_any_order() {
    for arrays in [whole(), whole().into_iter().rev().collect()] {
        let trace = put(arrays).unwrap();
        assert_eq!((trace.batches.len(), trace.blocks(), trace.tokens.as_str()), (2, 2, "single"));
        assert_eq!(trace.loss_reduction, None);
        let second = &trace.batches[1];
        assert_eq!((second.samples(), second.hidden[2].cols()), (3, 5));
        assert_eq!(second.hidden[0].row(1), [4.0, 5.0, 6.0, 7.0]);
        assert_eq!(second.labels.as_deref(), Some([2, 0, 1].as_slice()));
        // Each row's last logit is the largest: class 2.
        assert_eq!(trace.classified(), Some((2, 5)));
    }
}

#[test]
fn what_is_optional_may_be_missing_everywhere() {
    let bare = whole().into_iter().filter(|a| a.name.contains(".h.")).collect();
    let trace = put(bare).unwrap();
    let first = &trace.batches[0];
    assert!(first.gradient.is_none() && first.credit.is_none());
    assert!(first.logits.is_none() && first.labels.is_none() && trace.classified().is_none());
}

#[test]
fn what_is_missing_is_named() {
    for (missing, words) in [
        (vec!["batch.0.h.1"], "`batch.0.h.1` is missing, though there is a layer 2"),
        (vec!["batch.0.h.0"], "`batch.0.h.0` is missing: a trace holds the hidden states"),
        (vec!["batch.1.h.2"], "`batch.1.h.2` is missing: `batch.0.h.2` is there"),
        (vec!["batch.1.g.2"], "`batch.1.g.2` is missing: `batch.0.h.2` is there"),
        (vec!["batch.0.a.0"], "`batch.0.a.0` is missing, though there is a layer 1"),
        (
            vec!["batch.1.a.0", "batch.1.a.1", "batch.1.a.2"],
            "`batch.1.a.0` is missing: batch 0 has it",
        ),
        (
            vec!["batch.0.g.0", "batch.0.g.1", "batch.0.g.2"],
            "`batch.0.g.0` is missing: batch 1 has it",
        ),
        (vec!["batch.1.logits"], "`batch.1.logits` is missing: batch 0 has it"),
        (vec!["batch.0.labels"], "`batch.0.labels` is missing: batch 1 has it"),
        (vec!["batch.0.h.2"], "`batch.0.g.2` has no `batch.0.h.2` beside it"),
    ] {
        let found = refusal(without(&missing));
        assert!(found.starts_with(words), "{missing:?}: {found}");
    }
    let renamed = |mut array: Array<'static>| {
        array.name = array.name.replace("batch.1", "batch.3");
        array
    };
    let found = refusal(whole().into_iter().map(renamed).collect());
    assert_eq!(found, "`batch.1.h.0` is missing, though there is a batch 3");
    assert!(refusal(vec![]).starts_with("`batch.0.h.0` is missing"));
}

#[test]
fn a_shape_that_disagrees_with_its_siblings_is_named() {
    for (odd, words) in [
        (array("batch.0.g.1", &[3, 4]), "`batch.0.g.1` has 3 samples of 1 × 4 values"),
        (array("batch.1.h.1", &[3, 5]), "`batch.1.h.1` has 3 samples of 1 × 5 values"),
        (array("batch.0.h.2", &[1, 5]), "`batch.0.h.2` has 1 samples of 1 × 5 values"),
        (array("batch.0.g.0", &[2, 7, 4]), "`batch.0.g.0` has 2 samples of 7 × 4 values"),
        (array("batch.1.logits", &[3, 4]), "`batch.1.logits` is [3, 4] where [3, 3] belongs"),
        (array("batch.1.logits", &[2, 3]), "`batch.1.logits` is [2, 3] where [3, 3] belongs"),
        (
            array("batch.0.logits", &[2, 1, 3]),
            "`batch.0.logits` is [2, 1, 3]: expected [N, classes]",
        ),
        (labels("batch.0.labels", &[0]), "`batch.0.labels` is [1] where [2] belongs"),
        (labels("batch.0.labels", &[0, 3]), "`batch.0.labels` holds class 3, the logits have 3"),
    ] {
        let found = refusal(with(odd));
        assert!(found.starts_with(words), "{found}");
    }
}

#[test]
fn names_that_mean_nothing_are_refused() {
    for name in [
        "batch.0.grad.1",
        "batch.0.h",
        "batch.00.h.1",
        "batch.+1.h.1",
        "batch.0.h.01",
        "batch.-1.h.0",
        "batch.0.h.99999999999999999999999",
        "../../etc/passwd",
        "weights",
        "",
    ] {
        let mut all = whole();
        all.push(array(name, &[1, 1]));
        let found = refusal(all);
        assert!(found.contains(&format!("`{name}` means nothing here")), "{found}");
        assert!(!is_array(name));
    }
}

#[test]
fn tokens_are_chosen_alike_everywhere_and_a_credit_may_be_one_for_all() {
    let tokens = |mut arrays: Vec<Array<'static>>| {
        for array in &mut arrays {
            if array.shape.len() == 2 && array.name.contains(".h.") || array.name.contains(".g.") {
                let [n, d] = array.shape[..] else { continue };
                *array = self::array(&array.name, &[n, 3, d]);
            }
        }
        arrays
    };
    let trace = put(tokens(whole())).unwrap();
    assert_eq!(trace.tokens, "cls");
    assert_eq!(trace.batches[0].hidden[0].row(1), [12.0, 13.0, 14.0, 15.0]);
    assert!(TraceInfo::default().assumed_tokens(&trace));
    let info = TraceInfo { tokens: Some(Tokens::Mean), ..TraceInfo::default() };
    let trace = assemble(&info, tokens(whole()).into_iter().map(Ok)).unwrap();
    assert_eq!(trace.tokens, "mean");
    assert_eq!(trace.batches[0].hidden[0].row(1), [16.0, 17.0, 18.0, 19.0]);
    assert!(!info.assumed_tokens(&trace));
}
