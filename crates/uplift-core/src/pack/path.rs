//! The shortest chain of hops.

use std::collections::VecDeque;

use crate::version::Version;

/// Indexes of the edges that lead from one version to another, fewest first found; among chains of one
/// length, the one whose hops stand first in the pack.
pub(super) fn shortest(edges: &[(&Version, &Version)], from: &Version, to: &Version) -> Option<Vec<usize>> {
    let mut queue = VecDeque::from([(from, Vec::new())]);
    let mut seen = vec![from];
    while let Some((here, chain)) = queue.pop_front() {
        if here == to {
            return Some(chain);
        }
        for (index, (start, end)) in edges.iter().enumerate() {
            if *start == here && !seen.contains(end) {
                seen.push(end);
                let mut longer = chain.clone();
                longer.push(index);
                queue.push_back((end, longer));
            }
        }
    }
    None
}
