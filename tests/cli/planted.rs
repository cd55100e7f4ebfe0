//! Faults planted in PyTorch's golden recording, which is trustworthy once its frozen twin is worse: each is
//! among the first sentences of the verdict, and the verdict is not good.

use crate::common::Place;
use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

const GOLDEN: &[u8] = include_bytes!("../golden/pytorch.safetensors");

/// Samples of a batch, and the last layer.
const SAMPLES: usize = 12;
const TOP: usize = 3;

struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Array {
    fn scale(&mut self, factor: f32) {
        self.values.iter_mut().for_each(|v| *v *= factor);
    }

    /// The rows turned by one, so that none stays.
    fn turn(&mut self) {
        self.values.rotate_left(self.shape[1]);
    }
}

struct Recording {
    arrays: BTreeMap<String, Array>,
    labels: BTreeMap<String, Vec<i64>>,
    said: HashMap<String, String>,
    precision: Dtype,
}

impl Recording {
    fn golden() -> Self {
        let (_, header) = SafeTensors::read_metadata(GOLDEN).expect("a header");
        let said = header.metadata().clone().expect("metadata");
        let (mut arrays, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in SafeTensors::deserialize(GOLDEN).expect("a file").tensors() {
            if view.dtype() == Dtype::I64 {
                let number = |b: &[u8]| i64::from_le_bytes(b.try_into().expect("eight bytes"));
                labels.insert(name, view.data().chunks(8).map(number).collect());
            } else {
                let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes"));
                let values = view.data().chunks(4).map(number).collect();
                arrays.insert(name, Array { shape: view.shape().to_vec(), values });
            }
        }
        let mut golden = Self { arrays, labels, said, precision: Dtype::F32 };
        golden.say("frozen_accuracy", "0.1");
        golden
    }

    fn say(&mut self, key: &str, value: &str) {
        self.said.insert(key.into(), value.into());
    }

    /// Changes the field's array of each batch k and layer l.
    fn each(&mut self, field: &str, change: impl Fn(usize, usize, &mut Array)) {
        for (name, array) in &mut self.arrays {
            let parts: Vec<&str> = name.split('.').collect();
            if let ["batch", k, of, l] = parts[..]
                && of == field
            {
                change(k.parse().expect("a batch"), l.parse().expect("a layer"), array);
            }
        }
    }

    /// `to` of every batch becomes a copy of `from`, times `factor`.
    fn copy(&mut self, from: &str, to: &str, factor: f32) {
        for k in 0..8 {
            let values = self.arrays[&format!("batch.{k}.{from}")].values.clone();
            let to = self.arrays.get_mut(&format!("batch.{k}.{to}")).expect("an array");
            to.values = values;
            to.scale(factor);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let number = |v: f32| match self.precision {
            Dtype::F16 => f16::from_f32(v).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f32(v).to_le_bytes().to_vec(),
            _ => v.to_le_bytes().to_vec(),
        };
        let floats = self.arrays.iter().map(|(name, array)| {
            let bytes: Vec<u8> = array.values.iter().flat_map(|v| number(*v)).collect();
            (name, self.precision, array.shape.clone(), bytes)
        });
        let labels = self.labels.iter().map(|(name, labels)| {
            let bytes: Vec<u8> = labels.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, Dtype::I64, vec![labels.len()], bytes)
        });
        let all: Vec<_> = floats.chain(labels).collect();
        let views = all.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
        });
        safetensors::serialize(views, Some(self.said.clone())).expect("a file")
    }

    fn audit(&self, flags: &str) -> Value {
        let place = Place::new();
        place.write("t.safetensors", self.bytes());
        let outcome = place.done(&format!("diagnose t.safetensors --json {flags}"));
        serde_json::from_str(outcome.stdout.lines().next().expect("a line")).expect("JSON")
    }
}

fn contradictions(audit: &Value) -> Vec<String> {
    let checks = audit["evidence"]["checks"].as_array().expect("checks").iter();
    let found = checks.filter(|check| check["standing"] == "contradicted");
    found.map(|check| check["finding"].as_str().expect("a sentence").to_owned()).collect()
}

/// What was planted, how, and the words that name it.
type Planted = (&'static str, fn(&mut Recording), &'static str);

/// What leaves the verdict inconclusive at best.
const FAULTS: [Planted; 22] = [
    (
        "a summed loss",
        |r| r.each("g", |_, _, g| g.scale(SAMPLES as f32)),
        "12.0 times what h_3, logits and labels make it",
    ),
    ("a loss scale", |r| r.each("g", |_, _, g| g.scale(65536.0)), "as a GradScaler's"),
    ("the wrong sign", |r| r.each("g", |_, _, g| g.scale(-1.0)), "its sign is turned round"),
    (
        "hooks left on",
        |r| (0..TOP).for_each(|l| r.copy(&format!("a.{l}"), &format!("g.{l}"), 1.0 / 12.0)),
        "were the rule's hooks left on",
    ),
    (
        "the reference as credit",
        |r| (0..=TOP).for_each(|l| r.copy(&format!("g.{l}"), &format!("a.{l}"), 1.0)),
        "the reference was recorded as the credit",
    ),
    (
        "one batch's labels",
        |r| r.labels.get_mut("batch.2.labels").expect("labels").rotate_left(1),
        "In batch 2 the reference gradient",
    ),
    (
        "all labels",
        |r| r.labels.values_mut().for_each(|labels| labels.rotate_left(1)),
        "labels are not those of the loss",
    ),
    (
        "one batch's rows",
        |r| {
            r.each("g", |k, _, g| {
                if k == 5 {
                    g.turn()
                }
            })
        },
        "In batch 5 the reference gradient",
    ),
    ("all rows", |r| r.each("g", |_, _, g| g.turn()), "rows are shuffled against the states"),
    (
        "one batch twice",
        |r| {
            for name in r.arrays.keys().cloned().collect::<Vec<_>>() {
                if let Some(rest) = name.strip_prefix("batch.1.") {
                    let values = r.arrays[&name].values.clone();
                    r.arrays.get_mut(&format!("batch.6.{rest}")).expect("an array").values = values;
                }
            }
            let labels = r.labels["batch.1.labels"].clone();
            r.labels.insert("batch.6.labels".into(), labels);
        },
        "Batches 1 and 6 hold the same samples",
    ),
    ("another accuracy", |r| r.say("accuracy", "0.9"), "The stated accuracy is 90.00%"),
    ("one state twice", |r| r.copy("h.1", "h.2", 1.0), "h_1 and h_2 are equal in every bit"),
    (
        "branches as states",
        |r| {
            for k in 0..8 {
                for l in (1..=TOP).rev() {
                    let below = r.arrays[&format!("batch.{k}.h.{}", l - 1)].values.clone();
                    let h = r.arrays.get_mut(&format!("batch.{k}.h.{l}")).expect("a state");
                    h.values.iter_mut().zip(below).for_each(|(h, below)| *h -= below);
                }
            }
        },
        "the blocks' branches were recorded",
    ),
    (
        "states out of order",
        |r| {
            for k in 0..8 {
                let [low, high] = [0, TOP].map(|l| format!("batch.{k}.h.{l}"));
                let lowest = std::mem::take(&mut r.arrays.get_mut(&low).expect("h_0").values);
                let last = r.arrays.get_mut(&high).expect("h_3");
                let last = std::mem::replace(&mut last.values, lowest);
                r.arrays.get_mut(&low).expect("h_0").values = last;
            }
        },
        "The head does not read h_3 but h_0",
    ),
    (
        "a NaN in the logits",
        |r| r.arrays.get_mut("batch.3.logits").expect("logits").values[70] = f32::NAN,
        "`batch.3.logits` holds nan, first in sample 7",
    ),
    (
        "an infinity in the credit",
        |r| {
            r.each("a", |k, l, a| {
                if (k, l) == (4, 1) {
                    a.values[17] = f32::INFINITY
                }
            })
        },
        "`batch.4.a.1` holds inf, first in sample 2",
    ),
    (
        "a cut graph",
        |r| {
            r.each("g", |_, l, g| {
                if l < TOP {
                    g.scale(0.0)
                }
            })
        },
        "No gradient reaches h_0, h_1 and h_2",
    ),
    (
        "another token",
        |r| {
            // The head reads the last of two tokens, and the first is measured.
            let with_a_token = |array: &mut Array, first: f32| {
                let rows = array.values.chunks(8);
                let both = |row: &[f32]| -> Vec<f32> {
                    row.iter().map(|v| first * v).chain(row.iter().copied()).collect()
                };
                array.values = rows.flat_map(both).collect();
                array.shape = vec![SAMPLES, 2, 8];
            };
            r.each("h", |_, _, h| with_a_token(h, -0.5));
            r.each("g", |_, _, g| with_a_token(g, 0.0));
        },
        "the head reads another token",
    ),
    (
        "a dead layer",
        |r| {
            r.each("h", |_, l, h| {
                if l == 2 {
                    h.scale(0.0)
                }
            })
        },
        "zero for every sample at h_2: a dead layer",
    ),
    ("no credit", |r| r.each("a", |_, _, a| a.scale(0.0)), "The credit is zero everywhere"),
    (
        "a credit uphill",
        |r| {
            (0..=TOP).for_each(|l| r.copy(&format!("g.{l}"), &format!("a.{l}"), -3.0));
            r.say("method", "ep");
        },
        "points uphill",
    ),
    (
        "a thousandth at one layer",
        |r| {
            (0..=TOP).for_each(|l| r.copy(&format!("g.{l}"), &format!("a.{l}"), 1.0));
            r.copy("g.1", "a.1", 1e-3);
            r.say("method", "bp");
        },
        "Backpropagation's credit at h_1 is",
    ),
];

#[test]
fn every_fault_planted_in_a_recording_is_a_first_sentence_of_its_verdict() {
    let healthy = Recording::golden().audit("");
    assert_eq!(healthy["verdict"], "trustworthy", "{healthy}");
    assert!(contradictions(&healthy).is_empty());
    for (what, plant, words) in FAULTS {
        let mut recording = Recording::golden();
        plant(&mut recording);
        let audit = recording.audit("");
        let found = contradictions(&audit);
        assert!(found.iter().any(|finding| finding.contains(words)), "{what}: {found:?}");
        let reasons: Vec<&str> = audit["reasons"]
            .as_array()
            .expect("reasons")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let first = &reasons[..found.len()];
        assert!(
            first.iter().all(|reason| found.iter().any(|f| f == reason)),
            "{what}: {reasons:?}"
        );
        assert_eq!(audit["verdict"], "inconclusive", "{what}: {reasons:?}");
    }
}

/// Of two batch sizes each has its own 1/N: the last batch divided by the others' is named.
#[test]
fn a_short_last_batch_is_a_mean_over_its_own_samples() {
    let short = |factor: f32| {
        let mut recording = Recording::golden();
        for (name, array) in &mut recording.arrays {
            if name.starts_with("batch.7.") {
                array.values.truncate(6 * array.shape[1]);
                array.shape[0] = 6;
            }
        }
        recording.labels.get_mut("batch.7.labels").expect("labels").truncate(6);
        recording.each("g", |k, _, g| {
            if k == 7 {
                g.scale(factor)
            }
        });
        recording.audit("")
    };
    let right = short(2.0);
    assert_eq!(right["verdict"], "trustworthy", "{right}");
    assert!(right["notes"].to_string().contains("Batches of unequal size (12, 6)"), "{right}");
    let wrong = short(1.0);
    let found = contradictions(&wrong).join(" ");
    assert!(found.contains("was divided by 12.0 in every batch and not by the batch's own size"));
    assert_eq!(wrong["diagnostics"]["reference"]["status"], "not evaluated");
}

/// What accuses nobody is said beside the numbers.
#[test]
fn what_half_precision_resolves_and_a_layers_scale_are_said_in_the_notes() {
    for (precision, words) in [(Dtype::F16, "Recorded in f16"), (Dtype::BF16, "Recorded in bf16")] {
        let audit = Recording { precision, ..Recording::golden() }.audit("");
        assert!(contradictions(&audit).is_empty(), "{audit}");
        assert!(audit["notes"].to_string().contains(words), "{audit}");
    }
    let before = Recording::golden().audit("");
    let mut recording = Recording::golden();
    recording.each("a", |_, l, a| {
        if l == 1 {
            a.scale(1e-3)
        }
    });
    let after = recording.audit("");
    let cosines = |audit: &Value| -> Vec<f64> {
        let cosines = audit["cosine"]["per_layer"].as_array().expect("cosines").iter();
        cosines.filter_map(Value::as_f64).collect()
    };
    let same = cosines(&before).into_iter().zip(cosines(&after)).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(same, "single cosines are blind");
    assert_ne!(
        before["evidence"]["credit"]["global_cosine"],
        after["evidence"]["credit"]["global_cosine"]
    );
    let notes = after["notes"].to_string();
    assert!(notes.contains("Beside its gradient the credit at h_1 is"), "{notes}");
}

/// A fault after which there is no null, and what is said of it.
type WithoutNull = (fn(&mut Recording), &'static str);

/// A stranger's feedback must not be called significant where there is no fixed matrix.
#[test]
fn without_its_premise_the_null_is_not_evaluated_and_says_why() {
    let null = |plant: fn(&mut Recording)| {
        let mut recording = Recording::golden();
        plant(&mut recording);
        recording.audit("--controls")["controls"]["null"].clone()
    };
    assert_eq!(null(|_| ())["draws"], 20);
    let cases: [WithoutNull; 4] = [
        (
            |r| r.labels.values_mut().for_each(|labels| labels.rotate_left(1)),
            "no fixed matrix of the output error",
        ),
        (|r| r.each("a", |_, _, a| a.turn()), "no fixed matrix of the output error"),
        (
            |r| r.each("a", |_, _, a| a.values.iter_mut().for_each(|v| *v = v.max(0.0))),
            "no fixed matrix of the output error",
        ),
        (
            |r| {
                r.each("a", |_, _, a| {
                    for row in a.values.chunks_mut(8) {
                        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
                        row.iter_mut().for_each(|v| *v /= length);
                    }
                });
            },
            "one length for every sample",
        ),
    ];
    for (plant, words) in cases {
        let found = null(plant);
        let why = found["not_evaluated"].as_str().expect("a reason");
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn the_endings_of_traces_are_read_in_any_case() {
    let place = Place::new();
    place.write("t.SafeTensors", Recording::golden().bytes());
    place.write("u.NPZ", include_bytes!("../golden/biotorch.npz"));
    place.done("diagnose t.SafeTensors u.NPZ");
    for name in ["t.verdict.json", "u.verdict.json"] {
        assert!(place.path(name).exists(), "{name}");
    }
}
