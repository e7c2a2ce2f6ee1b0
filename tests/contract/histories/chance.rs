//! Histories by chance: the same seed gives the same ones.

use super::Target::{self, Deployment, Gadget, Loose, Service};
use super::{Act, History, MANAGERS, Verb};
use serde_json::{Value, json};

/// A small generator (splitmix64): the same seed gives the same histories.
pub struct Dice(u64);

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[usize::try_from(self.roll(items.len() as u64)).unwrap()]
    }

    fn half(&mut self) -> bool {
        self.roll(2) == 0
    }
}

impl History {
    pub fn random(dice: &mut Dice) -> Self {
        let target = [Deployment, Service, Gadget, Loose][usize::try_from(dice.roll(4)).unwrap()];
        let count = 3 + dice.roll(5);
        let acts = (0..count).map(|at| Act::random(dice, target, at == 0));
        Self {
            target,
            acts: acts.collect(),
        }
    }
}

impl Act {
    fn random(dice: &mut Dice, target: Target, first: bool) -> Self {
        let verb = match (first, dice.roll(16)) {
            (true, n) if n < 8 => Verb::Create,
            (true, _) | (false, 0..=5) => Verb::Apply,
            (false, 6..=8) => Verb::Force,
            (false, 9..=11) => Verb::Merge,
            (false, 12..=13) => Verb::Replace,
            (false, 14) => Verb::Delete,
            _ => Verb::Create,
        };
        Self {
            verb,
            manager: dice.one_of(&MANAGERS),
            body: body(dice, target, verb == Verb::Merge),
        }
    }
}

/// A body of the target's shape; `part`: a merge patch, which may hold nulls.
fn body(dice: &mut Dice, target: Target, part: bool) -> Value {
    let mut body = json!({"metadata": {}});
    for key in ["a", "b"] {
        if dice.half() {
            body["metadata"]["labels"][key] = match part && dice.roll(3) == 0 {
                true => Value::Null,
                false => json!(dice.one_of(&["1", "2"])),
            };
        }
    }
    let spec = match target {
        Deployment => deployment(dice, part),
        Service => service(dice, part),
        Gadget => gadget(dice, part),
        Loose => loose(dice, part),
    };
    body["spec"] = spec;
    body
}

fn deployment(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    if dice.half() {
        spec["replicas"] = json!(dice.roll(3));
    }
    if part {
        return spec;
    }
    let mut containers = Vec::new();
    for name in ["c", "d"] {
        if name == "c" || dice.half() {
            let mut container = json!({"name": name, "image": dice.one_of(&["x:1", "x:2"])});
            if dice.half() {
                container["env"] = json!([{"name": "E", "value": dice.one_of(&["1", "2"])}]);
            }
            if dice.half() {
                container["ports"] = json!([{"containerPort": 80 + dice.roll(2)}]);
            }
            containers.push(container);
        }
    }
    spec["selector"] = json!({"matchLabels": {"app": "x"}});
    spec["template"] =
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}});
    spec
}

fn service(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    if dice.half() {
        spec["selector"] = json!({dice.one_of(&["a", "b"]): dice.one_of(&["1", "2"])});
    }
    if !part || dice.half() {
        let mut ports = vec![json!({"name": "p", "port": 80 + dice.roll(2)})];
        if dice.half() {
            ports.push(json!({"name": "q", "port": 90, "targetPort": 8080 + dice.roll(2)}));
        }
        spec["ports"] = json!(ports);
    }
    spec
}

fn gadget(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    if dice.half() {
        spec["size"] = json!(dice.roll(3));
    }
    if dice.half() {
        let tags = ["a", "b", "c"].into_iter().filter(|_| dice.half());
        spec["tags"] = json!(tags.collect::<Vec<_>>());
    }
    if dice.half() {
        let mut parts = Vec::new();
        for name in ["x", "y"] {
            if dice.half() {
                parts.push(json!({"name": name, "value": dice.one_of(&["1", "2"])}));
            }
        }
        spec["parts"] = json!(parts);
    }
    if dice.half() {
        spec["plain"] = json!([dice.one_of(&["1", "2"])]);
    }
    if dice.half() {
        spec["whole"] = json!({dice.one_of(&["k", "l"]): "v"});
    }
    if part && dice.half() {
        spec[dice.one_of(&["size", "tags", "parts", "plain", "whole"])] = Value::Null;
    }
    spec
}

fn loose(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    for key in ["k", "l", "m"] {
        spec[key] = match dice.roll(6) {
            0 => json!(dice.roll(3)),
            1 => json!([dice.one_of(&["1", "2"])]),
            2 => json!({dice.one_of(&["n", "o"]): dice.one_of(&["1", "2"])}),
            3 => json!({}),
            4 if part => Value::Null,
            _ => continue,
        };
    }
    spec
}
