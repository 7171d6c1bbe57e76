{{- define "lstmserve.fullname" -}}
{{- $name := .Values.nameOverride | default "lstmserve" -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Here the name is no value: rules and dashboards know servers by job="lstmserve". */}}
{{- define "lstmserve.selector" -}}
app.kubernetes.io/name: lstmserve
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "lstmserve.labels" -}}
app.kubernetes.io/name: lstmserve
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "lstmserve.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- define "lstmserve.claim" -}}
{{- .Values.models.volume.existingClaim | default (printf "%s-models" (include "lstmserve.fullname" .)) -}}
{{- end -}}

{{- define "lstmserve.proxied" -}}
{{- printf "%s-proxied" (include "lstmserve.fullname" .) -}}
{{- end -}}

{{- define "lstmserve.copier" -}}
app.kubernetes.io/name: lstmserve
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: copying
{{- end -}}
