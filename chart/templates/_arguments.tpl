{{/* What the exporter is told by `arguments` and `extraEnv`, in Go's syntax, where templates have to follow it. */}}

{{/* The last value that arguments give a flag, or nothing: (list . NAMES), NAMES being a regular expression of its names. */}}
{{- define "dcgm-exporter.argumentValue" -}}
{{- $flag := printf "^--?%s" (index . 1) -}}
{{- $found := "" -}}
{{- $isNext := false -}}
{{- range (index . 0).Values.arguments -}}
{{- if $isNext -}}{{- $found = . -}}{{- end -}}
{{- $isNext = regexMatch (printf "%s$" $flag) . -}}
{{- if regexMatch (printf "%s=" $flag) . -}}{{- $found = regexReplaceAll "^[^=]*=" . "" -}}{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* What a flag is told by its argument, else by its variable: (list . NAMES VARIABLE), or nothing. */}}
{{- define "dcgm-exporter.flagValue" -}}
{{- $variable := "" -}}
{{- range (index . 0).Values.extraEnv -}}{{- if eq .name (index $ 2) -}}{{- $variable = default "" .value -}}{{- end -}}{{- end -}}
{{- include "dcgm-exporter.argumentValue" (list (index . 0) (index . 1)) | default $variable -}}
{{- end -}}

{{/* "true" where a switch is on by its argument, else by its variable, else by DEFAULT: (list . NAMES VARIABLE DEFAULT). */}}
{{- define "dcgm-exporter.isSwitchedOn" -}}
{{- $root := index . 0 -}}
{{- $true := "(1|t|T|true|True|TRUE)" -}}
{{- $isOn := index . 3 -}}
{{- range $root.Values.extraEnv -}}
{{- if eq .name (index $ 2) -}}{{- $isOn = regexMatch (printf "^%s$" $true) (toString .value) -}}{{- end -}}
{{- end -}}
{{- range $root.Values.arguments -}}
{{- if regexMatch (printf "^--?%s(=|$)" (index $ 1)) . -}}{{- $isOn = regexMatch (printf "^[^=]*(=%s)?$" $true) . -}}{{- end -}}
{{- end -}}
{{- if $isOn -}}true{{- end -}}
{{- end -}}
