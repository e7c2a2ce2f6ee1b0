//! The matrix of cables: what each cluster says about each other one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Address;
use super::cable::{PairRow, Side, members};

/// Clusters up to which the matrix is drawn; beyond, pairs are listed.
const MATRIX: usize = 40;

/// Clusters up to which the cells of the matrix carry all their words.
const ROOMY: usize = 8;

/// All clusters against all clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// Columns.
    pub clusters: Vec<MatrixColumn>,
    /// Rows, one per reporting cluster.
    pub rows: Vec<MatrixRow>,
    /// Whether cells show the icon only.
    pub dense: bool,
}

/// A column of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixColumn {
    /// Cluster.
    pub cluster: String,
    /// Its page.
    pub address: Address,
}

/// A row of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixRow {
    /// Cluster that reports.
    pub cluster: String,
    /// What it says about each column; `None` about itself and where no cable is expected.
    pub cells: Vec<Option<Side>>,
}

/// The matrix, when there are clusters and not too many.
pub(super) fn matrix(pairs: &[PairRow]) -> Option<Matrix> {
    let names = members(pairs);
    if names.is_empty() || names.len() > MATRIX {
        return None;
    }
    let mut sides: BTreeMap<(&str, &str), &Side> = BTreeMap::new();
    for pair in pairs {
        for side in [&pair.forward, &pair.backward] {
            sides.insert((side.from.as_str(), side.to.as_str()), side);
        }
    }
    let rows = names.iter().map(|from| MatrixRow {
        cluster: (*from).to_owned(),
        cells: names
            .iter()
            .map(|to| sides.get(&(*from, *to)).map(|side| (*side).clone()))
            .collect(),
    });
    let columns = names.iter().map(|name| MatrixColumn {
        cluster: (*name).to_owned(),
        address: Address::Cluster((*name).to_owned()),
    });
    Some(Matrix {
        rows: rows.collect(),
        clusters: columns.collect(),
        dense: names.len() > ROOMY,
    })
}
