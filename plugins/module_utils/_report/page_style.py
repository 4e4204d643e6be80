# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the page about a repository looks, on a screen, a phone and paper, in light and in dark."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--fg:#1c2430;--dim:#5a6675;--bg:#f6f7f9;--card:#fff;--line:#d9dee5;--good:#1a6e3c;
--warn:#8a5a00;--bad:#b3261e;--accent:#23528f;--head:#eef1f5}
@media(prefers-color-scheme:dark){:root{--fg:#e5e9ef;--dim:#9aa6b5;--bg:#12161c;--card:#1a2029;--line:#303946;
--good:#6fcf8f;--warn:#f0b95a;--bad:#ff8a80;--accent:#8db8f2;--head:#222a35}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:76rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.15rem;margin:2rem 0 .6rem;overflow-wrap:anywhere}
p{margin:.3rem 0}
.dim{color:var(--dim)}
code,.path{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.9em;overflow-wrap:anywhere}
.verdict{margin:1rem 0;padding:.7rem 1rem;border-left:.35rem solid var(--good);background:var(--card);font-weight:600}
.verdict.bad{border-color:var(--bad)}.verdict.warn{border-color:var(--warn)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;margin:1rem 0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.5rem .7rem}
dt{color:var(--dim);font-size:.85rem}dd{margin:0;font-size:1.1rem;font-weight:600}
dd small{display:block;font-weight:400;font-size:.8rem;color:var(--dim)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--head);font-size:.85rem;font-weight:600}
tbody th{position:sticky;left:0;background:var(--card);min-width:9rem;max-width:16rem;overflow-wrap:break-word;
white-space:normal;font-weight:600}
td.num{text-align:right}
td.mark{text-align:center}
td.text{white-space:normal;min-width:16rem;overflow-wrap:anywhere}
td small{display:block;color:var(--dim)}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad);font-weight:600}
footer{margin-top:2.5rem;color:var(--dim);font-size:.85rem}
@media(max-width:40rem){main{padding:1rem .6rem 2rem}th,td{padding:.3rem .4rem}
tbody th{min-width:7rem;max-width:9rem}.stack thead{display:none}.stack tr{display:block;padding:.3rem 0;
border-bottom:1px solid var(--line)}.stack td{display:block;border:0;padding:0 .6rem;white-space:normal}
dl{grid-template-columns:1fr 1fr}}
@media print{:root{--fg:#000;--dim:#444;--bg:#fff;--card:#fff;--line:#999;--head:#eee;
--good:#000;--warn:#000;--bad:#000}
body{font-size:10pt}main{max-width:none;padding:0}.wide{overflow:visible;border:0}tbody th{position:static}
th,td{padding:.15rem .3rem;white-space:normal}thead{display:table-header-group}tr{break-inside:avoid}}
"""

#: Ages are the reader's to see: in the file they would change with every second. Without it the times stand alone.
SCRIPT = """
for(const e of document.querySelectorAll("time")){const s=(Date.now()-Date.parse(e.dateTime))/1000;if(!(s>=0))continue;
const[n,u]=s<5400?[s/60,"min"]:s<172800?[s/3600,"h"]:[s/86400,"d"];
const m=document.createElement("small");m.textContent=" "+Math.round(n)+" "+u+" ago";e.after(m)}
"""
