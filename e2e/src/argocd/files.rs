//! What the repositories of tests hold: one Deployment, in each of the forms that Argo CD renders.

/// All files, each with its path; the Deployments use `image`.
pub(crate) fn all(image: &str) -> Vec<(&'static str, String)> {
    vec![
        ("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n".to_owned()),
        ("chart/values.yaml", VALUES.replace("@IMAGE@", image)),
        ("chart/templates/deployment.yaml", CHART.to_owned()),
        ("kustomize/kustomization.yaml", "resources: [deployment.yaml]\n".to_owned()),
        ("kustomize/deployment.yaml", deployment("web", &format!("{image}:1.0.0"))),
        ("overlay/kustomization.yaml", OVERLAY.replace("@IMAGE@", image)),
        ("plain/deployment.yaml", deployment("plain", &format!("{image}:1.0.0"))),
        ("plugin/deployment.yaml.in", deployment("filled-in", "@IMAGE_NAME@:@IMAGE_TAG@")),
    ]
}

/// A Deployment that runs `image` once.
pub fn deployment(name: &str, image: &str) -> String {
    DEPLOYMENT.replace("@NAME@", name).replace("@IMAGE@", image)
}

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: @NAME@
spec:
  replicas: 1
  selector:
    matchLabels: { app: @NAME@ }
  template:
    metadata:
      labels: { app: @NAME@ }
    spec:
      containers:
        - name: app
          image: "@IMAGE@"
"#;

const VALUES: &str = r#"# What runs.
image:
  name: @IMAGE@ # without its tag
  tag: "1.0.0"

replicas: 1
# Seconds until a rollout counts as failed.
deadline: 600
"#;

const CHART: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: {{ .Values.deadline }}
  selector:
    matchLabels: { app: {{ .Release.Name }} }
  template:
    metadata:
      labels: { app: {{ .Release.Name }} }
    spec:
      containers:
        - name: app
          {{- if .Values.image.digest }}
          image: "{{ .Values.image.name }}@{{ .Values.image.digest }}"
          {{- else if hasPrefix "sha256:" .Values.image.tag }}
          image: "{{ .Values.image.name }}@{{ .Values.image.tag }}"
          {{- else }}
          image: "{{ .Values.image.name }}:{{ .Values.image.tag }}"
          {{- end }}
"#;

const OVERLAY: &str = r#"# What the base runs, and in which version.
resources:
  - ../kustomize
nameSuffix: -overlay
images:
  - name: busybox # not there, and left alone
    newTag: "1.36"
  - name: @IMAGE@
    newTag: "1.0.0" # kept up to date
"#;
