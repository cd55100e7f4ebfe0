//! Format 1, which programs before the named sections wrote: AdamW's moments stand beside each other,
//! and a rule owns nothing but feedback.

use super::{Checkpoint, HostTensor, Imported, Progress, SlotsOfParameter};
use crate::config::Config;
use crate::data::DataProvenance;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) const FORMAT: &str = "fa-audit/checkpoint/1";

/// Its content.
#[derive(Deserialize)]
pub(super) struct CheckpointOfFormat1 {
    config: Config,
    data: DataProvenance,
    progress: Progress,
    parameters: BTreeMap<String, HostTensor>,
    feedback: BTreeMap<String, HostTensor>,
    optimizer: BTreeMap<String, MomentsOfAdamW>,
    #[serde(default)]
    imported: Option<Imported>,
}

#[derive(Deserialize)]
struct MomentsOfAdamW {
    time: usize,
    moment_1: HostTensor,
    moment_2: HostTensor,
}

impl From<CheckpointOfFormat1> for Checkpoint {
    fn from(old: CheckpointOfFormat1) -> Self {
        let slots = |MomentsOfAdamW { time, moment_1, moment_2 }| SlotsOfParameter {
            time,
            values: [("moment_1".into(), moment_1), ("moment_2".into(), moment_2)].into(),
        };
        Self {
            config: old.config,
            data: old.data,
            progress: old.progress,
            network: old.parameters,
            buffers: BTreeMap::new(),
            learner: old.feedback,
            slots: old.optimizer.into_iter().map(|(name, m)| (name, slots(m))).collect(),
            trajectory: Default::default(),
            imported: old.imported,
        }
    }
}
