//! The commands, in their order, and the files that they name.

pub const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'nginx:1.25', ports: [{containerPort: 80}]}]}
";
pub const MAPS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: pruned}}
data: {k: v}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two, labels: {app: pruned}}
data: {k: v}
";
pub const ONE: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: pruned}}
data: {k: w}
";

pub const WRONG: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: wrong}
data: {k: v}
speck: 1
";

pub const MORE: &str = "apiVersion: v1
kind: ResourceQuota
metadata: {name: q2}
spec: {hard: {pods: '1', limits.cpu: '2'}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cj2}
spec: {schedule: '@hourly', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'x:1'}]}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: pdb2}
spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i2}
spec: {rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}
";

pub const COMMANDS: &[&str] = &[
    "create namespace commands",
    "create serviceaccount robot",
    "create -f definition.json",
    "wait --for=condition=Established crd/widgets.contract.example.com --timeout=20s",
    "auth whoami -o jsonpath={.status.userInfo.groups}",
    "auth can-i create pods",
    "auth can-i create pods --quiet",
    "auth can-i --list",
    "auth can-i list pods --as=nobody",
    "auth can-i delete nodes",
    "auth can-i list deployments.apps --subresource=scale",
    "create token robot",
    "create token robot --duration=1h",
    "create token nobody",
    "explain configmap",
    "explain deployment.spec",
    "explain deployment.spec.template.spec.containers.ports",
    "explain service.spec.ports --recursive",
    "explain widgets.spec",
    "explain widgets.spec.tags",
    "explain deployment.spec.template.spec.volumes --output=plaintext-openapiv2",
    "explain widgets.spec --output=plaintext-openapiv2",
    "explain hpa.spec --api-version=autoscaling/v1",
    "explain nothing",
    "explain deployment.spec.nothing",
    "apply -f web.yaml",
    "apply -f web.yaml",
    "diff -f web.yaml",
    "diff -f changed.yaml",
    "diff --server-side -f changed.yaml",
    "apply -f changed.yaml",
    "apply --server-side -f web.yaml",
    "apply --server-side --force-conflicts -f web.yaml",
    "apply -f maps.yaml --prune -l app=pruned --prune-allowlist=core/v1/ConfigMap",
    "apply -f one.yaml --prune -l app=pruned --prune-allowlist=core/v1/ConfigMap",
    "get configmap two",
    "patch deployment web --subresource=status --type=merge -p {\"status\":{\"observedGeneration\":9}}",
    "rollout status deployment/web --timeout=10s",
    "rollout restart deployment/web",
    "rollout pause deployment/web",
    "rollout status deployment/nothing",
    "wait --for=jsonpath={.data.k}=w configmap/one --timeout=5s",
    "wait --for=condition=Ready configmap/one --timeout=1s",
    "wait --for=create configmap/one --timeout=5s",
    "scale deployment web --replicas=0 --current-replicas=7",
    "autoscale deployment web --min=1 --max=2",
    "get hpa web -o jsonpath={.spec}",
    "set env deployment/web A=b",
    "create quota q --hard=pods=1",
    "create role r --verb=get --resource=pods",
    "create rolebinding rb --role=r --user=x",
    "create clusterrole contract-cr --verb=get --resource=pods",
    "create ingress i --rule=a.b/x=s:80",
    "create ingress ii --class=c --default-backend=s:http --rule=a.b/*=s:http,tls=t",
    "get ingress i ii -o jsonpath={.items[*].spec}",
    "create job j --image=x:1 --dry-run=server -o name",
    "create cronjob cj --image=x:1 --schedule=@hourly",
    "create priorityclass contract-pc --value=5",
    "create poddisruptionbudget pdb --selector=a=b --min-available=1",
    "create poddisruptionbudget pdb3 --selector=a=b --max-unavailable=50%",
    "get quota q -o jsonpath={.spec}",
    "get cronjob cj -o jsonpath={.spec}",
    "get priorityclass contract-pc -o jsonpath={.value},{.globalDefault},{.preemptionPolicy}",
    "get pdb pdb pdb3 -o jsonpath={.items[*].spec}",
    "apply -f more.yaml",
    "create secret tls t --cert=nothing --key=nothing",
    "get rolebinding,role",
    "get quota q2",
    "get cronjob cj2 -o wide",
    "get pdb pdb2",
    "get ingress i2",
    "get rolebinding rb -o wide",
    "get configmap one -o jsonpath={.data}",
    "get configmap one,two",
    "get configmap -l app=pruned --show-labels",
    "get foo",
    "get configmap one -o name",
    "get configmap one -o custom-columns=NAME:.metadata.name,K:.data.k",
    "get configmap one -o go-template={{.data.k}}",
    "get configmap -l app=pruned --sort-by=.metadata.name -o name",
    "get configmap -l app=pruned -o name --chunk-size=1",
    "get configmap --field-selector=metadata.name=one -o name",
    "get cm/one svc",
    "get all -l nothing=here",
    "get deploy,hpa,cronjob",
    "get deploy,svc -l app=web -o name",
    "get configmap one --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}",
    "get configmap one --output-watch-events -o name",
    "get --raw /api/v1/namespaces/{ns}/configmaps/none",
    "describe configmap one",
    "describe role r",
    "describe quota q2",
    "describe widgets",
    "expose deployment web --port=80 --target-port=8080",
    "get service web -o jsonpath={.spec.ports}",
    "create service clusterip s --tcp=80:8080",
    "create service nodeport n --tcp=80 --dry-run=server -o name",
    "create configmap made --from-literal=a=b --from-file=one.yaml",
    "create configmap made --from-literal=a=b",
    "create secret generic sg --from-literal=a=b",
    "create secret docker-registry sd --docker-server=s --docker-username=u --docker-password=p",
    "create deployment made --image=x:1 --replicas=0 --port=80",
    "run pod --image=x:1 --restart=Never --dry-run=server -o name",
    "set image deployment/made x=x:2",
    "set resources deployment/made --limits=cpu=1",
    "set serviceaccount deployment/made robot",
    "rollout resume deployment/made",
    "rollout history deployment/made",
    "patch deployment made -p {\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"y\",\"image\":\"y:1\"}]}}}}",
    "get deployment made -o jsonpath={.spec.template.spec.containers[*].name}",
    "patch deployment made --type=json -p [{\"op\":\"remove\",\"path\":\"/spec/nothing\"}]",
    "patch configmap made --type=merge -p {\"data\":{\"a\":null}} --dry-run=server -o jsonpath={.data}",
    "patch configmap nothing --type=merge -p {}",
    "apply view-last-applied configmap/one -o json",
    "apply -f web.yaml --dry-run=server",
    "apply -f wrong.yaml",
    "apply -f wrong.yaml --validate=false",
    "apply -f wrong.yaml --server-side",
    "delete -f web.yaml --dry-run=server",
    "delete deployment made --wait=true --timeout=20s",
    "api-resources --api-group=apps --no-headers",
    "api-resources --api-group=contract.example.com",
    "label configmap one app-",
    "label configmap one a=b --list",
    "label configmap one x=y --resource-version=1",
    "annotate configmap one a=b",
    "annotate configmap one a=c",
    "replace -f one.yaml",
    "create -f one.yaml",
    "delete configmap one --cascade=orphan",
    "wait --for=delete configmap/one --timeout=10s",
    "delete configmap one",
    "delete role,rolebinding -l nothing=here",
    "delete crd widgets.contract.example.com --timeout=20s",
    "delete namespace commands --timeout=30s",
];

/// Commands that print otherwise, and why.
pub const DIFFERENCES: &[(&str, &str)] = &[
    (
        "auth can-i --list",
        "everybody may do everything, so that the list ends with that; kube-apiserver lists its default roles too",
    ),
    (
        "auth can-i list pods --as=nobody",
        "there are no rights to ask for: the error says what to use instead",
    ),
    (
        "rollout history deployment/made",
        "nobody makes ReplicaSets here, and they are the history",
    ),
    (
        "patch deployment made --type=json -p [{\"op\":\"remove\",\"path\":\"/spec/nothing\"}]",
        "kube-apiserver does not say which operation failed and why",
    ),
];
