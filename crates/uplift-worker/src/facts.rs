//! What an attempt learns on its way, for the report.

use std::time::Instant;

use uplift_core::{
    event::{
        Checkpointed, Detected, Event, Files, Finding, Health, Invariant, Restored, Stage, StepDone, Table,
    },
    report::{CheckpointCost, StageTime, StepReport},
};

/// Everything the engine has said that the report needs.
#[derive(Default)]
pub(crate) struct Facts {
    pub source_sha256: Option<String>,
    pub(crate) restored: Option<Restored>,
    pub(crate) detected: Option<Detected>,
    pub(crate) preflight: Vec<Finding>,
    pub(crate) tables: [Vec<Table>; 2],
    pub(crate) invariants: [Vec<Invariant>; 2],
    pub(crate) steps: Vec<StepReport>,
    /// How many files the upgrade added to those that lay beside the dump.
    pub(crate) files_added: u64,
    /// How many steps there are in all.
    pub(crate) total_steps: u64,
    /// What copying the database cost, for the step that comes next.
    checkpoint: Option<Checkpointed>,
    pub(crate) health: Health,
    pub(crate) stages: Vec<StageTime>,
    entered: Option<(Stage, Instant)>,
}

impl Facts {
    /// What lay beside the dump in a zip.
    pub(crate) fn files(&self) -> Option<Files> {
        self.restored.as_ref().and_then(|restored| restored.files.clone())
    }

    /// What the copy cost that was made for a step, where one was.
    pub(crate) fn checkpoint_of(&self, step: &str) -> Option<CheckpointCost> {
        let made = self.checkpoint.as_ref().filter(|made| made.step == step)?;
        Some(CheckpointCost { bytes: made.bytes, millis: made.millis })
    }

    /// The attempt enters a stage, or ends the last one.
    pub(crate) fn enter(&mut self, stage: Option<Stage>) {
        if let Some((stage, since)) = self.entered.take() {
            let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.stages.push(StageTime { stage, millis });
        }
        self.entered = stage.map(|stage| (stage, Instant::now()));
    }

    /// Keeps what the report needs of an event.
    pub(crate) fn learn(&mut self, event: &Event) {
        let end = usize::from(self.entered.is_some_and(|(stage, _)| stage > Stage::Restore));
        match event {
            Event::Restored(restored) => self.restored = Some(restored.clone()),
            Event::Detected(detected) => self.detected = Some(detected.clone()),
            Event::Preflight(finding) => self.preflight.push(finding.clone()),
            Event::Tables { tables } => self.tables[end].clone_from(tables),
            Event::Reconciled { invariants } => self.invariants[end].clone_from(invariants),
            Event::Checkpointed(checkpointed) => self.checkpoint = Some(checkpointed.clone()),
            Event::StepDone(StepDone { step, rows, notices, millis, timings }) => {
                let checkpoint = self.checkpoint_of(step);
                self.steps.push(StepReport {
                    step: step.clone(),
                    rows: *rows,
                    notices: *notices,
                    millis: *millis,
                    timings: timings.clone(),
                    checkpoint,
                });
            }
            Event::Files(files) => {
                if let Some(restored) = &mut self.restored {
                    let before = restored.files.as_ref().map_or(0, |files| files.count);
                    self.files_added = files.count.saturating_sub(before);
                    restored.files = Some(files.clone());
                }
            }
            Event::Health(health) => self.health = health.clone(),
            Event::Alive
            | Event::Log { .. }
            | Event::Progress { .. }
            | Event::Sniffed(_)
            | Event::StepStarted { .. }
            | Event::Failed { .. }
            | Event::Done { .. } => {}
        }
    }
}
