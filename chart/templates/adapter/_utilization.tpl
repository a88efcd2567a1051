{{/*
Utilization in percent, for autoscalers, dashboards and alerts: true load of GPUs whose exporter counts busy seconds, DCGM's value of
the moment of all others. Which of the two is chosen by what the exporter has, never by what has an answer now: a GPU of which seconds
were counted in the last five minutes is not answered by its value of the moment.
A FORM is a query of one pair of counters, <busy> and <observed>.
*/}}

{{/* A GPU's utilization, a series for each of its owners: (list . MATCHERS FORM INSTANT). */}}
{{- define "dcgm-exporter.utilization" -}}
{{- with include "dcgm-exporter.bySeconds" . -}}{{ . }} or ({{ index $ 3 }}) {{ include "dcgm-exporter.unlessCounted" $ }}{{- else -}}{{ index . 3 }}{{- end -}}
{{- end -}}

{{/* What a form says of all pairs, or nothing where the values want none: (list . MATCHERS FORM). */}}
{{- define "dcgm-exporter.bySeconds" -}}
{{- $terms := list -}}
{{- range include "dcgm-exporter.secondsPairs" (index . 0) | fromJsonArray -}}
{{- $matchers := list (index $ 1) .only | compact | join "," -}}
{{- $terms = append $terms (index $ 2 | replace "<busy>" (printf "%s{%s}" .busy $matchers) | replace "<observed>" (printf "%s{%s}" .observed $matchers)) -}}
{{- end -}}
{{- join " or " $terms -}}
{{- end -}}

{{/* What leaves out the GPUs and MIG instances whose seconds are counted, or nothing: (list . MATCHERS). */}}
{{- define "dcgm-exporter.unlessCounted" -}}
{{- with include "dcgm-exporter.bySeconds" (list (index . 0) (index . 1) "present_over_time(<observed>[5m])") -}}
unless on ({{ include "dcgm-exporter.everyHostname" $ }}, {{ include "dcgm-exporter.everyUuid" $ }}, GPU_I_ID) ({{ . }})
{{- end -}}
{{- end -}}

{{/* The pairs of counters in use, as a JSON list; `only` chooses the entities for which a pair counts (docs/true-load.md). */}}
{{- define "dcgm-exporter.secondsPairs" -}}
{{- if eq (toString .Values.utilization.signal) "true" -}}
[
  {"busy": "gpu_exporter_busy_seconds_total", "observed": "gpu_exporter_observed_seconds_total"}
  {{- if .Values.utilization.ofMig }},
  {"busy": "gpu_exporter_graphics_active_seconds_total", "observed": "gpu_exporter_profiling_observed_seconds_total", "only": "GPU_I_ID!=\"\""}
  {{- end }}
]
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/*
A form: the mean since the last scrape, in whole percent, as DCGM has it and `kubectl get hpa` shows it well. Two samples with a restart
or nothing but a gap between them have no answer, nor has a series that has ended (docs/true-load.md). Where the exporter collects so
seldom that scrapes find nothing new, it is the mean over about two collections, of an exporter that has run for as long.
*/}}
{{- define "dcgm-exporter.sinceLastScrape" -}}
{{- $scrape := include "dcgm-exporter.signalMilliseconds" . | int64 -}}
{{- $collection := include "dcgm-exporter.collectionMilliseconds" . | int64 -}}
{{- if and (gt $collection $scrape) (not (has "gpu_exporter_observed_seconds_total" (include "dcgm-exporter.signalScrape" . | fromJsonArray))) -}}
{{- $form := "round(100 * rate(<busy>[W]) / (rate(<observed>[W]) > 0) and <observed> > W)" -}}
{{- $window := divf (mulf 3 $collection) 1000 | ceil | int -}}
{{- $form | replace "[W]" (printf "[%ds]" $window) | replace "> W" (printf "> %d" $window) -}}
{{- else -}}
{{- $window := max 60 (div (mul 5 $scrape) 1000) -}}
{{- "round(100 * irate(<busy>[W]) / (irate(<observed>[W]) > (idelta(<observed>[W]) >= 0) / <observed>))" | replace "[W]" (printf "[%ds]" $window) -}}
{{- end -}}
{{- end -}}

{{/* A form: the mean over the step of a graph. */}}
{{- define "dcgm-exporter.overStep" -}}
clamp_max(100 * rate(<busy>[$__rate_interval]) / (rate(<observed>[$__rate_interval]) > 0) and <observed>, 100)
{{- end -}}
