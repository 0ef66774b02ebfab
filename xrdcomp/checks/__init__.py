"""Rules over finished results: one registered function for each rule and message.

Importing the package registers every rule.
"""

from xrdcomp.checks import composition as composition
from xrdcomp.checks import specimen as specimen
from xrdcomp.checks import thermal as thermal
