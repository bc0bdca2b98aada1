"""What runs certmill somewhere: the demo, and the real servers that demo, tests and benchmark use.

Nothing in certmill/, tasks/, schedules/ or workers/ may import it.
"""
