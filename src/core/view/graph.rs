//! Geometry of the two pictures: the fleet's cables and what an application
//! depends on. Whole numbers, so that templates only print them. Each picture
//! has the same data beside it as a table or list; the picture is the extra.

use serde::Serialize;

use super::address::Address;
use super::word::Tone;

/// A box with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
    /// First line, cut to the box.
    pub name: String,
    /// The whole name.
    pub title: String,
    /// Second line.
    pub sub: String,
    /// Colour of the border when not everything is well.
    pub tone: Option<Tone>,
    /// Where it leads.
    pub address: Address,
}

impl Node {
    fn at(cx: i32, cy: i32, plan: &NodePlan) -> Self {
        let (width, height) = (148, 56);
        Self {
            x: cx - width / 2,
            y: cy - height / 2,
            width,
            height,
            name: cut(&plan.name, 18),
            title: plan.name.clone(),
            sub: cut(&plan.sub, 24),
            tone: plan.tone,
            address: plan.address.clone(),
        }
    }

    /// Centre, from the left.
    #[must_use]
    pub fn cx(&self) -> i32 {
        self.x + self.width / 2
    }

    /// Base line of the name.
    #[must_use]
    pub fn name_y(&self) -> i32 {
        self.y + 24
    }

    /// Base line of the second line.
    #[must_use]
    pub fn sub_y(&self) -> i32 {
        self.y + 42
    }
}

/// A line, given as an SVG path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// SVG path data.
    pub path: String,
    /// Colour; everything but `ok` and `busy` is dashed.
    pub tone: Tone,
}

/// A word on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Left edge of its pill.
    pub x: i32,
    /// Upper edge of its pill.
    pub y: i32,
    /// Width of its pill.
    pub width: i32,
    /// The word.
    pub words: String,
    /// Colour.
    pub tone: Tone,
}

impl Label {
    fn at(cx: i32, cy: i32, words: &str, tone: Tone) -> Self {
        let words = cut(words, 30);
        let width = i32::try_from(words.chars().count()).unwrap_or(0) * 7 + 20;
        Self {
            x: cx - width / 2,
            y: cy - 12,
            width,
            words,
            tone,
        }
    }

    /// Centre, from the left.
    #[must_use]
    pub fn cx(&self) -> i32 {
        self.x + self.width / 2
    }

    /// Base line of the word.
    #[must_use]
    pub fn text_y(&self) -> i32 {
        self.y + 16
    }
}

/// A picture: edges below, labels, then nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// Width of the view box.
    pub width: i32,
    /// Height of the view box.
    pub height: i32,
    /// Lines.
    pub edges: Vec<Edge>,
    /// Words on lines.
    pub labels: Vec<Label>,
    /// Boxes, in reading order.
    pub nodes: Vec<Node>,
    /// What the picture says, in one sentence.
    pub description: String,
}

/// What a box says.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// First line.
    pub name: String,
    /// Second line.
    pub sub: String,
    /// Border, when not everything is well.
    pub tone: Option<Tone>,
    /// Where it leads.
    pub address: Address,
}

/// A cable between two boxes, by index.
#[derive(Clone, Debug)]
pub struct CablePlan {
    /// One end.
    pub from: usize,
    /// The other end.
    pub to: usize,
    /// State word or round trip.
    pub words: String,
    /// Worse of both directions.
    pub tone: Tone,
}

/// Most clusters that the picture of cables can hold.
pub const MOST_NODES: usize = 9;

/// Clusters on an ellipse and the cables between them. `None` when there are
/// more than [`MOST_NODES`] or fewer than two clusters.
#[must_use]
pub fn cables(nodes: &[NodePlan], cables: &[CablePlan], description: String) -> Option<Picture> {
    if nodes.len() < 2 || nodes.len() > MOST_NODES {
        return None;
    }
    let (width, height) = match nodes.len() {
        2 => (520, 130),
        3 | 4 => (520, 250),
        _ => (520, 320),
    };
    let centres = ellipse(nodes.len(), width, height);
    let mut edges = Vec::new();
    let mut labels = Vec::new();
    for cable in cables {
        let (Some(&(x1, y1)), Some(&(x2, y2))) = (centres.get(cable.from), centres.get(cable.to))
        else {
            continue;
        };
        edges.push(Edge {
            path: format!("M{x1} {y1}L{x2} {y2}"),
            tone: cable.tone,
        });
        if nodes.len() <= 4 || cable.tone != Tone::Ok {
            labels.push(free_label(&labels, (x1, y1), (x2, y2), cable));
        }
    }
    // Sound cables first, so that a broken one is drawn on top.
    edges.sort_by_key(|edge| edge.tone);
    let nodes = nodes
        .iter()
        .zip(&centres)
        .map(|(plan, (cx, cy))| Node::at(*cx, *cy, plan))
        .collect();
    Some(Picture {
        width,
        height,
        edges,
        labels,
        nodes,
        description,
    })
}

/// A label on the line, at the first place where it covers no other label.
fn free_label(placed: &[Label], from: (i32, i32), to: (i32, i32), cable: &CablePlan) -> Label {
    let at = |percent: i32| {
        let x = from.0 + (to.0 - from.0) * percent / 100;
        let y = from.1 + (to.1 - from.1) * percent / 100;
        Label::at(x, y, &cable.words, cable.tone)
    };
    let free = |label: &Label| {
        placed.iter().all(|other| {
            let apart_x = label.x > other.x + other.width || other.x > label.x + label.width;
            apart_x || (label.y - other.y).abs() > 26
        })
    };
    [50, 38, 62, 30, 70]
        .into_iter()
        .map(at)
        .find(free)
        .unwrap_or_else(|| at(50))
}

/// Centres of `count` boxes: side by side for two, a triangle for three, the
/// corners for four, else clockwise on an ellipse from the top.
fn ellipse(count: usize, width: i32, height: i32) -> Vec<(i32, i32)> {
    if count == 2 {
        return vec![(92, height / 2), (width - 92, height / 2)];
    }
    let (rx, ry) = (
        f64::from(width) / 2.0 - 86.0,
        f64::from(height) / 2.0 - 44.0,
    );
    let (left, right, top, bottom) = (92, width - 92, 44, height - 44);
    match count {
        3 => return vec![(left, top), (right, top), (width / 2, bottom)],
        4 => return vec![(left, top), (right, top), (right, bottom), (left, bottom)],
        _ => {}
    }
    let start = -90.0_f64;
    (0..count)
        .map(|index| {
            let share = f64::from(u32::try_from(index).unwrap_or(0))
                / f64::from(u32::try_from(count).unwrap_or(1));
            let angle = (start + 360.0 * share).to_radians();
            let x = f64::from(width) / 2.0 + rx * angle.cos();
            let y = f64::from(height) / 2.0 + ry * angle.sin();
            (whole(x), whole(y))
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a coordinate inside a view box of a few hundred"
)]
fn whole(value: f64) -> i32 {
    value.round() as i32
}

/// What an application depends on: it stands left, one box per service right.
#[must_use]
pub fn dependencies(
    application: &NodePlan,
    services: &[(NodePlan, String, Tone)],
    description: String,
) -> Option<Picture> {
    if services.is_empty() {
        return None;
    }
    let services = services.get(..8).unwrap_or(services);
    let rows = i32::try_from(services.len()).unwrap_or(1);
    let (width, height) = (600, 20 + rows * 80);
    let middle = height / 2;
    let mut edges = Vec::new();
    let mut labels = Vec::new();
    let mut nodes = vec![Node::at(84, middle, application)];
    for (row, (plan, words, tone)) in (0..).zip(services) {
        let y = 10 + row * 80 + 40;
        let from = middle + (row * 2 - rows + 1) * 8;
        edges.push(Edge {
            path: format!("M158 {from}C300 {from} 300 {y} 442 {y}"),
            tone: *tone,
        });
        labels.push(Label::at(300, i32::midpoint(from, y), words, *tone));
        nodes.push(Node::at(516, y, plan));
    }
    Some(Picture {
        width,
        height,
        edges,
        labels,
        nodes,
        description,
    })
}

/// Cuts to `most` characters, with an ellipsis.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> NodePlan {
        NodePlan {
            name: name.into(),
            sub: String::new(),
            tone: None,
            address: Address::Cluster(name.into()),
        }
    }

    #[test]
    fn boxes_stay_inside_and_apart() {
        for count in 2..=MOST_NODES {
            let plans: Vec<_> = (0..count).map(|index| plan(&index.to_string())).collect();
            let picture = cables(&plans, &[], String::new()).unwrap();
            for node in &picture.nodes {
                assert!(
                    node.x >= 0 && node.x + node.width <= picture.width,
                    "{count}: {node:?}"
                );
                assert!(
                    node.y >= 0 && node.y + node.height <= picture.height,
                    "{count}: {node:?}"
                );
            }
        }
    }

    #[test]
    fn too_many_clusters_have_no_picture() {
        let plans: Vec<_> = (0..=MOST_NODES)
            .map(|index| plan(&index.to_string()))
            .collect();
        assert_eq!(cables(&plans, &[], String::new()), None);
    }

    #[test]
    fn long_names_are_cut_but_kept_in_the_title() {
        let picture = cables(
            &[plan("a-very-long-name-of-a-cluster"), plan("b")],
            &[],
            String::new(),
        )
        .unwrap();
        assert_eq!(picture.nodes[0].name, "a-very-long-name-…");
        assert_eq!(picture.nodes[0].title, "a-very-long-name-of-a-cluster");
    }
}
