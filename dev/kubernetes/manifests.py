"""The settings of the node's programs, and the manifests of the cluster's own pods: DNS, metrics, policies, KEDA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .programs import of_containerd

if TYPE_CHECKING:
    from .cluster import Node


def image(program: str) -> str:
    return f"localhost/edugraph-kubernetes-{program}:1"


def settings(node: Node, *, cluster: Path, dns_ip: str, all_pods: str) -> dict[str, str]:
    """Return name -> content of the settings files of a node. `cluster` is the folder with the keys of all nodes.

    They take into account that root cannot raise limits or lower OOM scores in a container.
    """
    state = node.state
    run = node.run
    return {
        "resolv.conf": "",
        "containerd.toml": f"""version = 2
root = "{state}/containerd"
state = "{run}/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{run}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image("pause")}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      runtime_path = "{of_containerd("containerd-shim-runc-v2")}"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/etc/cni"
""",
        # With ptp every packet between pods is routed. A bridge would need a kernel module.
        "cni/10-pods.conflist": f"""{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {{"type": "ptp", "mtu": 1500, "ipam": {{"type": "host-local", "dataDir": "{run}/addresses",
   "ranges": [[{{"subnet": "{node.pods}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}, "snat": true}}]}}
""",
        "kubelet.yaml": f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {node.ip}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {cluster}/pki/ca.crt}}}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
cgroupRoot: /{node.cgroup}
failCgroupV1: false
failSwapOn: false
clusterDNS: [{dns_ip}]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://{run}/containerd.sock
enforceNodeAllocatable: [none]
evictionHard: {{memory.available: 100Mi, nodefs.available: 500Mi, imagefs.available: 500Mi}}
healthzBindAddress: 127.0.0.1
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxOpenFiles: {_most_files()}
oomScoreAdj: 0
podLogsDir: {state}/pod-logs
resolvConf: {state}/etc/resolv.conf
# Prometheus reads its settings from mounted objects: else a minute late.
syncFrequency: 5s
tlsCertFile: {cluster}/pki/kubelet-server-{node.name}.crt
tlsPrivateKeyFile: {cluster}/pki/kubelet-server-{node.name}.key
volumePluginDir: {state}/kubelet/volume-plugins
""",
        "kube-proxy.yaml": f"""apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {cluster}/etc/proxy.conf}}
clusterCIDR: {all_pods}
conntrack: {{maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}}
healthzBindAddress: 127.0.0.1:10256
hostnameOverride: {node.name}
iptables: {{minSyncPeriod: 100ms}}
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
""",
    }


def _most_files() -> int:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if 0 < hard < 1_000_000 else 1_000_000


def base(nodes: list[str], dns_ip: str, folders: list[str]) -> str:
    """Return the manifests of DNS and of the volumes of the storage classes `standard` and `shared`.

    All nodes are on one machine, so each of them has the folder of each volume. The last volume can be mounted by pods
    of several nodes at the same time.
    """
    text = BASE.format(dns_ip=dns_ip, coredns=image("coredns"))
    for number, folder in enumerate(folders[:-1]):
        text += _volume(f"local-{number}", nodes, folder, "standard", "ReadWriteOnce")
    return text + _volume("shared-0", nodes, folders[-1], "shared", "ReadWriteMany")


def _volume(name: str, nodes: list[str], folder: str, storage_class: str, access_mode: str) -> str:
    return f"""---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: 10Gi}}
  accessModes: [{access_mode}]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: {storage_class}
  local: {{path: {folder}}}
  nodeAffinity:
    required:
      nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{", ".join(nodes)}]}}]}}]
"""


BASE = """apiVersion: v1
kind: ServiceAccount
metadata: {{name: coredns, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: system:coredns}}
rules:
- {{apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: system:coredns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}}
subjects: [{{kind: ServiceAccount, name: coredns, namespace: kube-system}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: edugraph:kube-proxy}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:node-proxier}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: system:kube-proxy}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data:
  # No cache: a release installed anew at once would be looked up at its old address. No other names exist here.
  Corefile: |
    cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
      errors
      health
      ready
      kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 0
      }}
      loadbalance
    }}
    .:53 {{
      errors
      template ANY ANY {{
        rcode NXDOMAIN
      }}
    }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: coredns, namespace: kube-system, labels: {{k8s-app: kube-dns}}}}
spec:
  selector: {{matchLabels: {{k8s-app: kube-dns}}}}
  template:
    metadata: {{labels: {{k8s-app: kube-dns}}}}
    spec:
      serviceAccountName: coredns
      priorityClassName: system-cluster-critical
      dnsPolicy: Default
      containers:
      - name: coredns
        image: {coredns}
        imagePullPolicy: Never
        args: [-conf, /etc/coredns/Corefile]
        readinessProbe: {{httpGet: {{path: /ready, port: 8181}}, periodSeconds: 2}}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {{add: [NET_BIND_SERVICE], drop: [ALL]}}
        volumeMounts: [{{name: config, mountPath: /etc/coredns, readOnly: true}}]
      volumes: [{{name: config, configMap: {{name: coredns}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system, labels: {{k8s-app: kube-dns}}}}
spec:
  clusterIP: {dns_ip}
  selector: {{k8s-app: kube-dns}}
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53}}]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: standard, annotations: {{storageclass.kubernetes.io/is-default-class: "true"}}}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: shared}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
"""

METRICS_SERVER = f"""apiVersion: v1
kind: ServiceAccount
metadata: {{name: metrics-server, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: edugraph:metrics-server}}
rules:
- {{apiGroups: [""], resources: [nodes/metrics], verbs: [get]}}
- {{apiGroups: [""], resources: [pods, nodes], verbs: [get, list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: edugraph:metrics-server}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edugraph:metrics-server}}
subjects: [{{kind: ServiceAccount, name: metrics-server, namespace: kube-system}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: edugraph:metrics-server-delegator}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator}}
subjects: [{{kind: ServiceAccount, name: metrics-server, namespace: kube-system}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: metrics-server-reader, namespace: kube-system}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}}
subjects: [{{kind: ServiceAccount, name: metrics-server, namespace: kube-system}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: metrics-server, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{k8s-app: metrics-server}}}}
  template:
    metadata: {{labels: {{k8s-app: metrics-server}}}}
    spec:
      serviceAccountName: metrics-server
      containers:
      - name: metrics-server
        image: {image("metrics-server")}
        imagePullPolicy: Never
        # The resolution must be longer than the timeout of one request.
        args: [--cert-dir=/tmp, --secure-port=10250, --kubelet-insecure-tls, --kubelet-preferred-address-types=InternalIP, --metric-resolution=10s, --kubelet-request-timeout=5s]
        ports: [{{containerPort: 10250, name: https}}]
        readinessProbe: {{httpGet: {{path: /readyz, port: https, scheme: HTTPS}}, periodSeconds: 2}}
        securityContext: {{runAsNonRoot: true, runAsUser: 1000, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
        volumeMounts: [{{name: tmp, mountPath: /tmp}}]
      volumes: [{{name: tmp, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: metrics-server, namespace: kube-system}}
spec:
  selector: {{k8s-app: metrics-server}}
  ports: [{{name: https, port: 443, targetPort: https}}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1beta1.metrics.k8s.io}}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {{name: metrics-server, namespace: kube-system}}
"""


def policies() -> str:
    """Return the manifests of the program that enforces network policies on each node."""
    return f"""apiVersion: v1
kind: ServiceAccount
metadata: {{name: network-policies, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: edugraph:network-policies}}
rules:
- {{apiGroups: [""], resources: [pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: edugraph:network-policies}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edugraph:network-policies}}
subjects: [{{kind: ServiceAccount, name: network-policies, namespace: kube-system}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: network-policies, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{k8s-app: network-policies}}}}
  template:
    metadata: {{labels: {{k8s-app: network-policies}}}}
    spec:
      hostNetwork: true
      serviceAccountName: network-policies
      priorityClassName: system-node-critical
      tolerations: [{{operator: Exists}}]
      containers:
      - name: policies
        image: {image("kube-network-policies")}
        imagePullPolicy: Never
        env: [{{name: NODE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}]
        args: [--hostname-override=$(NODE), --nfqueue-id=98, "--metrics-bind-address=127.0.0.1:9080", --disable-nri, --v=2]
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {{add: [NET_ADMIN], drop: [ALL]}}
"""


def keda(source: str) -> str:
    """Return KEDA's own manifests with our images, their paths, users, earlier probes and less CPU.

    By default KEDA requests three times 100m of CPU. On two cores that would leave too little for an upgrade, during
    which old and new pods run at the same time.
    """
    images = {
        "keda-operator": "keda",
        "keda-metrics-apiserver": "keda-adapter",
        "keda-admission": "keda-webhooks",
    }
    patches = "".join(
        f"""- target: {{kind: Deployment, name: {name}}}
  patch: |
    - {{op: replace, path: /spec/template/spec/containers/0/image, value: "{image(program)}"}}
    - {{op: replace, path: /spec/template/spec/containers/0/command, value: [/bin/{program}]}}
    - {{op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: Never}}
    - {{op: add, path: /spec/template/spec/securityContext/runAsUser, value: 1000}}
    - {{op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 10m}}
    - {{op: replace, path: /spec/template/spec/containers/0/readinessProbe/initialDelaySeconds, value: 1}}
    - {{op: add, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 2}}
"""
        for name, program in images.items()
    )
    return (
        f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [{source}/config/default]\n"
        f"patches:\n{patches}"
    )


def operator(source: str) -> str:
    """Return the Prometheus operator's own manifests with our images, and with less CPU, like those of KEDA."""
    return f"""apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: monitoring
resources: [{source}]
patches:
- target: {{kind: Deployment, name: prometheus-operator}}
  patch: |
    - {{op: replace, path: /spec/template/spec/containers/0/image, value: "{image("prometheus-operator")}"}}
    - {{op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 10m}}
    - {{op: add, path: /spec/template/spec/containers/0/imagePullPolicy, value: Never}}
    - {{op: add, path: /spec/template/spec/containers/0/args/-, value: --prometheus-config-reloader={image("prometheus-config-reloader")}}}
"""


PROMETHEUS = f"""apiVersion: v1
kind: ServiceAccount
metadata: {{name: prometheus, namespace: monitoring}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: edugraph:prometheus}}
rules:
- {{apiGroups: [""], resources: [nodes, nodes/metrics, services, endpoints, pods, namespaces], verbs: [get, list, watch]}}
- {{apiGroups: [""], resources: [configmaps], verbs: [get]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}}
- {{nonResourceURLs: [/metrics], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: edugraph:prometheus}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edugraph:prometheus}}
subjects: [{{kind: ServiceAccount, name: prometheus, namespace: monitoring}}]
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {{name: all, namespace: monitoring}}
spec:
  image: {image("prometheus")}
  imagePullPolicy: Never
  replicas: 1
  serviceAccountName: prometheus
  scrapeInterval: 5s
  evaluationInterval: 5s
  securityContext: {{runAsNonRoot: true, runAsUser: 1000, fsGroup: 2000}}
  serviceMonitorSelector: {{}}
  serviceMonitorNamespaceSelector: {{}}
  podMonitorSelector: {{}}
  podMonitorNamespaceSelector: {{}}
  ruleSelector: {{}}
  ruleNamespaceSelector: {{}}
---
apiVersion: v1
kind: Service
metadata: {{name: prometheus, namespace: monitoring}}
spec:
  selector: {{operator.prometheus.io/name: all}}
  ports: [{{name: web, port: 9090, targetPort: web}}]
"""
