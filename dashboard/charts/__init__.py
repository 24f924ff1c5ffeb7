"""Pure functions: plain values in, Plotly figures or the points of a small drawing out.

Colours are written as tokens (`var(--c1)`); `static/js/chart.js` resolves them in the theme.
"""
