//! `chain`: a Tryton database through two long-term series, by Tryton's own code; and what of the time is the platform's.

use std::collections::BTreeMap;

use uplift_tests::{
    data,
    fleet::{Fleet, Options},
    repository,
};

use crate::{
    dumps::Dump,
    figure::Figure,
    job::{PLATFORM, job, parts_of},
};

const NAME: &str = "tryton 6.0 to 8.0";

pub(crate) async fn run(runs: usize) {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    let pack = repository("deploy/packs/tryton");
    fleet.push_pack(&pack);
    let dump = Dump { name: "tryton", file: data("tryton60.dump"), pack, from: "6.0", to: "8.0" };
    let (mut whole, mut share) = (vec![], vec![]);
    let mut parts = BTreeMap::<String, Vec<f64>>::new();
    for _ in 0..runs {
        let (request, seconds) = job(&fleet, &dump).await;
        whole.push(seconds);
        for (part, part_seconds) in parts_of(&fleet, request, seconds).await {
            if part == PLATFORM {
                share.push(100.0 * part_seconds / seconds);
            }
            parts.entry(part).or_default().push(part_seconds);
        }
    }
    let figure = |what: &str, unit| Figure::new("chain", format!("{NAME}: {what}"), unit);
    figure("uplift test, to delivered", "s").of(whole).print();
    for (part, seconds) in parts {
        figure(&part, "s").of(seconds).print();
    }
    figure("the platform's own share", "%").of(share).print();
    fleet.stop().await;
}
