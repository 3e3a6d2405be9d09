/** A chaos run as one page of HTML that needs nothing else: what was found, how to have it again, the picture. */
import { CATALOGUE, type FaultKind } from '../faults/catalogue.ts'
import { drawPicture, FAMILY_COLORS } from './picture.ts'
import { type Check, countFaults, replayOf, type RunReport } from './run-report.ts'
import { escapeText } from './svg.ts'

const STYLE = `
  body { font: 14px/1.45 system-ui, sans-serif; margin: 24px; color: #222; max-width: 1640px }
  h1 { font-size: 20px; margin: 0 0 4px } h2 { font-size: 15px; margin: 24px 0 6px }
  .passed { color: #1b7f3b } .failed, .aborted { color: #c62828 }
  code { background: #f3f3f3; padding: 3px 6px; border-radius: 4px }
  table { border-collapse: collapse } td, th { padding: 3px 12px 3px 0; text-align: left; vertical-align: top }
  pre { background: #fff3f2; padding: 8px; white-space: pre-wrap; margin: 4px 0 }
  .key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 4px 0 12px }
  .scroll { overflow-x: auto }
`

export function renderPage(report: RunReport): string {
  const { settings, verdict, checks, figures, tookMs, startedAt } = report
  const title = `Chaos: seed ${settings.seed}, ${settings.backend}, ${settings.minutes} min`
  const facts = [
    `${settings.nodes} coordinators (${settings.backend}), ${settings.workers} workers, ${settings.lab}`,
    `${countFaults(report)} faults`,
    `${figures.commits} commits, ${figures.rows} rows, ${figures.operations} coordinator operations`,
    `lost ${figures.lost}, doubled ${figures.doubled}, split ${figures.split}`,
    `${startedAt}, ${(tookMs / 1_000).toFixed(0)} s`,
  ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeText(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeText(title)} — <span class="${verdict}">${verdict}</span></h1>
<p>${facts.map(escapeText).join(' · ')}</p>
<p>The same run again: <code>${escapeText(replayOf(settings))}</code></p>
<h2>What was checked</h2>
<table>${checks.map(checkRow).join('\n')}</table>
<h2>What happened</h2>
<p>${legend()}</p>
<div class="scroll">${drawPicture(report.events)}</div>
<h2>Faults by kind</h2>
<table>${faultRows(report)}</table>
</body></html>
`
}

const PROBLEMS_SHOWN_MAX = 3

function checkRow({ name, problems, seen }: Check): string {
  const isFine = problems.length === 0
  const mark = isFine ? '<span class="passed">✓</span>' : '<span class="failed">✗</span>'
  const shown = problems
    .slice(0, PROBLEMS_SHOWN_MAX)
    .map((text) => `<pre>${escapeText(text)}</pre>`)
  const more =
    problems.length > PROBLEMS_SHOWN_MAX ? `and ${problems.length - PROBLEMS_SHOWN_MAX} more` : ''
  return `<tr><td>${mark}</td><td>${escapeText(name)}</td><td>${escapeText(seen)}${shown.join('')}${more}</td></tr>`
}

function legend(): string {
  return Object.entries(FAMILY_COLORS)
    .map(([family, color]) => `<span class="key" style="background:${color}"></span>${family}`)
    .join('')
}

function faultRows({ faults }: RunReport): string {
  return Object.entries(faults)
    .toSorted(([, a], [, b]) => b - a)
    .map(([kind, count]) => {
      const { what } = CATALOGUE[kind as FaultKind]
      return `<tr><td>${count}</td><td>${escapeText(kind)}</td><td>${escapeText(what)}</td></tr>`
    })
    .join('\n')
}
