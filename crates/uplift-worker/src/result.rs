//! The result: dumped into the object store, and proven from there.

use uplift_core::{
    Format, Purpose,
    event::{Files, Level, Sniffed, Stage},
    key,
    plan::{self, Plan},
};
use uplift_platform::objects::{Expect, Written};
use uplift_sandbox::Sandbox;

use crate::{
    engine::{Input, Ran},
    outcome::{Ended, chain, of_objects},
    patience::patiently,
    stages::{Attempt, broken},
    way::Way,
};

/// The result, as it lies in the object store.
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) format: Format,
    pub(crate) written: Written,
}

/// A run of the engine whose output becomes an object.
pub(crate) struct Storing<'a> {
    pub(crate) place: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) key: &'a str,
    pub(crate) input: Input<'a>,
}

impl Attempt<'_> {
    /// Dumps the upgraded database into the object store.
    pub(crate) async fn dump(
        &mut self,
        sandbox: &Sandbox,
        way: &Way,
        sniffed: &Sniffed,
    ) -> Result<Stored, Ended> {
        self.enter(Stage::Dump).await?;
        let format = self.result_format(sniffed);
        self.warn_of_files(format).await;
        let backup = (sniffed.format, format) == (Format::Zip, Format::Zip);
        let backup = backup.then(|| self.input(Format::Zip));
        let plan = Plan::Dump(plan::Dump {
            format,
            backup,
            filestore: self.has_filestore(way, sniffed).then_some(self.context.config.disk_bytes),
            manifest: way.pack.probes().manifest,
            source_major: sniffed.server_major,
            neutralize: match self.request.purpose {
                Purpose::Test => way.pack.neutralize(),
                Purpose::Production => Vec::new(),
            },
            reconcile: way.pack.probes().reconcile_at(&self.request.target),
        });
        let lease = self.hold.lease();
        let name = format!("result.{}", format.suffix());
        let key = key::attempt(lease.request(), lease.epoch(), &name);
        let mut source = self.source();
        let input = if backup.is_some() { Input::Source(&mut source) } else { Input::Empty };
        let storing = Storing { place: "dump", plan: &plan, key: &key, input };
        let (written, ran) = self.store(sandbox, storing).await?;
        if backup.is_some_and(|input| input.bytes != ran.read.bytes) {
            return Err(broken("dump", "the engine ended before the zip that came in did"));
        }
        Ok(Stored { name, key, format, written })
    }

    /// Stores what a run of the engine writes.
    pub(crate) async fn store(
        &mut self,
        sandbox: &Sandbox,
        storing: Storing<'_>,
    ) -> Result<(Written, Ran), Ended> {
        let Storing { place, plan, key, input } = storing;
        let writer = self.context.objects.writer(key, None).await;
        let mut writer = writer.map_err(|error| of_objects(&error, place))?;
        let upload = writer.upload_id().0.clone();
        patiently(|| self.context.ledger.upload_begun(self.hold.lease(), key, &upload)).await?;
        let ended = match self.run(sandbox, place, plan, input, Some(&mut writer)).await {
            Ok(ran) => match writer.finish().await {
                Ok(written) if written.sha256 == ran.wrote.sha256 => Ok((written, ran)),
                Ok(_) => Err(broken(place, "the object was not stored as the engine wrote it")),
                // It may not even be aborted: it stays on record, and the sweep sees to it.
                Err(error) => return Err(of_objects(&error, place).into()),
            },
            Err(ended) => {
                if let Err(error) = writer.abort().await {
                    tracing::warn!(error = chain(&error), "abort an upload; the sweep will");
                    return Err(ended);
                }
                Err(ended)
            }
        };
        patiently(|| self.context.ledger.upload_ended(key, &upload)).await?;
        ended
    }

    /// What the customer asked for, else what came in.
    pub(crate) fn result_format(&self, sniffed: &Sniffed) -> Format {
        self.request.result_format.unwrap_or(sniffed.format)
    }

    async fn warn_of_files(&self, format: Format) {
        if let Some(files) = self.facts.files().filter(|files| files.count > 0 && format != Format::Zip) {
            let text = format!("a result in format {format} holds none of the zip's {} files", files.count);
            self.log.say(Level::Warning, &text).await;
        }
    }

    /// Restores the stored result into a second database, and compares.
    pub(crate) async fn prove(&mut self, sandbox: &Sandbox, result: &Stored) -> Result<(), Ended> {
        self.enter(Stage::Prove).await?;
        let written = &result.written;
        let plan = Plan::Prove(plan::Prove {
            input: plan::Input { bytes: written.bytes, format: result.format },
            max_expanded_bytes: u64::MAX,
            files: (result.format == Format::Zip).then(|| self.facts.files().unwrap_or_else(Files::none)),
        });
        let expect = Expect {
            bytes: written.bytes,
            etag: Some(written.etag.clone()),
            sha256: Some(written.sha256.clone()),
        };
        let mut reader = self.context.objects.open(&result.key, expect);
        let ran = self.run(sandbox, "prove", &plan, Input::Result(&mut reader), None).await?;
        if (ran.read.bytes, &ran.read.sha256) != (written.bytes, &written.sha256) {
            return Err(broken("prove", "the engine was not given the bytes that are delivered"));
        }
        Ok(())
    }
}
