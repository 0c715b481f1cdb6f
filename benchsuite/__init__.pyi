"""The public names of benchsuite, and the modules that define them; `benchsuite/__init__.py` reads this list."""

from .api import phantom as phantom
from .api import preprocess as preprocess
from .api import reconstruct as reconstruct
from .api import run as run
from .api import score as score
from .api import simulate as simulate
from .api import trace as trace
from .columns import Column as Column
from .columns import Margin as Margin
from .contract.algorithm import Context as Context
from .contract.figure import Figure as Figure
from .contract.metric import Metric as Metric
from .contract.metric import Scored as Scored
from .contract.metric import Scores as Scores
from .contract.phantom import Phantom as Phantom
from .contract.plug import Cost as Cost
from .contract.preprocessing import Preprocessing as Preprocessing
from .contract.reader import Contents as Contents
from .contract.reader import MappedArray as MappedArray
from .contract.reader import Reader as Reader
from .contract.reconstructor import Iterate as Iterate
from .contract.reconstructor import Reconstructor as Reconstructor
from .contract.settings import Acquisition as Acquisition
from .contract.settings import Microscope as Microscope
from .contract.settings import Simulation as Simulation
from .contract.simulator import Simulator as Simulator
from .data import Fit as Fit
from .data import Grid as Grid
from .data import Modality as Modality
from .data import Optics as Optics
from .data import Preprocessed as Preprocessed
from .data import Reconstruction as Reconstruction
from .data import Slices as Slices
from .data import TiltSeries as TiltSeries
from .data import Volume as Volume
from .measured.files import write_series as write_series
from .measured.series import read_series as read_series
from .params import Count as Count
from .params import NonNegative as NonNegative
from .params import Params as Params
from .params import Positive as Positive
from .phantoms.quantities import Element as Element
from .physics.projection.projector import Projector as Projector
from .reconstructors.solvers.fista import largest_eigenvalue as largest_eigenvalue
from .results import Run as Run

API: dict[str, str]
__version__: str
