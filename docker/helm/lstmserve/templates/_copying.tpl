{{/* A container that copies versions from object storage; once, unless it is told how often to look. */}}
{{- define "lstmserve.copying" -}}
{{- $from := .root.Values.models.objectStorage -}}
image: {{ $from.image }}
command:
  - /bin/sh
  - /etc/copying/copy-versions
  - {{ required "models.objectStorage.path must say where the store is, such as models:bucket/store" $from.path | quote }}
  - /models
  {{- with .seconds }}
  - {{ . | quote }}
  {{- end }}
env:
  - { name: RCLONE_CONFIG, value: /tmp/rclone.conf }
  - { name: RCLONE_CACHE_DIR, value: /tmp }
  {{- with $from.models }}
  - { name: MODELS, value: {{ join " " . | quote }} }
  {{- end }}
{{- with $from.existingSecret }}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
resources: {{- toYaml $from.resources | nindent 2 }}
securityContext: {{- include "lstmserve.contained" . | nindent 2 }}
volumeMounts:
  - { name: models, mountPath: /models }
  - { name: copying, mountPath: /etc/copying, readOnly: true }
  - { name: copying-tmp, mountPath: /tmp }
{{- end -}}

{{- define "lstmserve.copying.volumes" -}}
- name: copying
  configMap: { name: {{ include "lstmserve.fullname" . }}-copying, defaultMode: 0555 }
- name: copying-tmp
  emptyDir: { sizeLimit: 16Mi }
{{- end -}}

{{- define "lstmserve.contained" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "lstmserve.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end -}}
