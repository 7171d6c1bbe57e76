{{- define "lstmserve.dns" -}}
# the cluster's DNS by its pods, and NodeLocal DNSCache: it is on the node's own network, so by addresses
- to:
    - namespaceSelector:
        matchLabels: { kubernetes.io/metadata.name: kube-system }
      podSelector:
        matchExpressions:
          - { key: k8s-app, operator: In, values: [kube-dns, node-local-dns] }
    {{- range .Values.networkPolicy.dnsAddresses }}
    - ipBlock: { cidr: {{ . }}/{{ ternary 128 32 (contains ":" .) }} }
    {{- end }}
  ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
{{- end -}}

{{- define "lstmserve.objectStorage" -}}
- to: {{- toYaml .Values.networkPolicy.objectStorage | nindent 4 }}
  ports:
    - { protocol: TCP, port: {{ .Values.networkPolicy.objectStoragePort }} }
{{- end -}}
