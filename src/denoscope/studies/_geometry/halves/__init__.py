"""Parts of the study ``disjoint_halves``: what one model is asked, what pairs of models say
together, and the page.
"""
