//! What the embedded server does otherwise than kube-apiserver, on purpose.

/// A step's name, and why its answers differ. A step that is listed and does
/// not differ fails the test, so that the list does not outlive its reasons.
pub const DIFFERENCES: &[(&str, &str)] = &[
    ("definition with a short name", ACCEPTED),
    ("same kind, other plural", ACCEPTED),
    ("/api aggregated", RESPONSE_KIND),
    ("/apis aggregated", RESPONSE_KIND),
    ("/api aggregated in beta", BETA),
    ("/apis aggregated in beta", BETA),
    ("schema of gizmos", AS_WRITTEN),
    (
        "table of /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        KINDS,
    ),
    (
        "table of /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        KINDS,
    ),
    (
        "table of /apis/apiregistration.k8s.io/v1/apiservices?labelSelector=no",
        KINDS,
    ),
    (
        "table of /apis/certificates.k8s.io/v1/certificatesigningrequests",
        KINDS,
    ),
    (
        "start to come",
        "a revision that was never given out is another server's: 410 makes the client list anew, where kube-apiserver waits",
    ),
    (
        "orph goes",
        "dependents are orphaned before the answer, so the owner is gone by then",
    ),
    (
        "autoscaler of v2",
        "currentMetrics of a new one is null in Go, and absent here",
    ),
    ("autoscaler of v1", OWNERS),
    ("autoscaler of v1 with a target", OWNERS),
    ("autoscaler of v1 with a field too many", OWNERS),
    ("a rule that is none", CEL),
    ("a rule of another type", CEL),
    ("against a rule", CEL),
    ("against a rule of changes", CEL),
    (
        "gizmo of template {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"labels\":{\"a\":1}}}",
        "metadata of embedded objects is checked with their schema: 422 with the field, not 400",
    ),
    (
        "scale by apply",
        "works here; kube-apiserver fails to convert it (500)",
    ),
];

const KINDS: &str = "the embedded server has the kinds that hubs and their members use";
const ACCEPTED: &str =
    "a definition is accepted within the answer, also one whose names another one has";
const RESPONSE_KIND: &str =
    "group and version of a responseKind are written out, as older servers did: clients read both";
const BETA: &str =
    "kubectl before 1.30 knows only apidiscovery.k8s.io/v2beta1; kube-apiserver 1.36 dropped it";
const OWNERS: &str = "managedFields of the v1 view name the fields of v2, which is what is stored";
const AS_WRITTEN: &str = "a schema is published as it was written, without what int-or-string and embedded resources imply";
const CEL: &str =
    "x-kubernetes-validations are kept, published and not evaluated: nothing here reads CEL";

/// Steps of which status code and reason agree and the words need not: Go
/// quotes its parser, its types or its structures there.
pub const WORDS: &[&str] = &[
    "damaged token",
    "text/plain",
    "table of another group",
    "other kind of options",
    "broken JSON patch",
    "JSON patch of nothing",
    "unknown operation",
    "merge of a list",
    "merge of a wrong type",
    "merge of a kind",
    "put of another uid",
    "body of text",
    "body of nothing",
    "body of a list",
    "definition",
    "definition without group",
    "definition without kind",
    "definition without versions",
    "definition without storage",
    "definition of two storages",
    "definition of a version twice",
    "gizmos",
    "rules",
    "gizmo without type",
    "scale of another kind",
    "several faults",
    "manager of odd letters",
    "two controllers",
    "namespace of a bad name",
    "definition of a bad version",
    "column without path",
    "a pattern that is none",
    "gizmo of count 1.5",
    "apply twice the same",
    "apply an unknown field",
    "wrong status",
    "schema of nothing",
    "gizmo, strictly",
];
