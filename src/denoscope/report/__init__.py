"""Reports: one self-contained HTML page, and the same figures as files for a paper."""

from __future__ import annotations

from denoscope.report.blocks import Block as Block
from denoscope.report.blocks import ClaimRow as ClaimRow
from denoscope.report.blocks import Claims as Claims
from denoscope.report.blocks import Column as Column
from denoscope.report.blocks import Figure as Figure
from denoscope.report.blocks import Gallery as Gallery
from denoscope.report.blocks import KeyValues as KeyValues
from denoscope.report.blocks import Page as Page
from denoscope.report.blocks import ReferenceList as ReferenceList
from denoscope.report.blocks import Section as Section
from denoscope.report.blocks import Slider as Slider
from denoscope.report.blocks import Sliders as Sliders
from denoscope.report.blocks import Strip as Strip
from denoscope.report.blocks import Table as Table
from denoscope.report.blocks import Text as Text
from denoscope.report.figures import curves as curves
from denoscope.report.figures import error_curves as error_curves
from denoscope.report.figures import linear_curves as linear_curves
from denoscope.report.grids import HeatMap as HeatMap
from denoscope.report.grids import matrix as matrix
from denoscope.report.looks import LOOKS as LOOKS
from denoscope.report.looks import Look as Look
from denoscope.report.page import write as write
from denoscope.report.panels import Level as Level
from denoscope.report.panels import Marker as Marker
from denoscope.report.panels import Panel as Panel
from denoscope.report.panels import Position as Position
from denoscope.report.panels import Series as Series
from denoscope.report.pictures import plot_pairs as plot_pairs
from denoscope.report.tables import frame as frame
from denoscope.report.tables import scalars as scalars
from denoscope.report.tables import write_claims as write_claims
from denoscope.report.tables import write_table as write_table
from denoscope.report.theme import INK as INK
from denoscope.report.theme import MUTED as MUTED
from denoscope.report.theme import NARROW as NARROW
from denoscope.report.theme import WIDE as WIDE
from denoscope.report.theme import ordered as ordered
