"""Our own Auto class: every referring segmentation system by its configuration."""

from collections import OrderedDict

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping

from .models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from .models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from .models.mattnet.configuration_mattnet import MAttNetConfig
from .models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from .models.rmi.configuration_rmi import RmiConfig
from .models.rmi.modeling_rmi import RmiForReferringSegmentation


class AutoModelForReferringSegmentation(_BaseAutoModelClass):
    """Loads any of the package's systems, and nothing else, by its configuration."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())


AutoModelForReferringSegmentation.register(LstmCnnConfig, LstmCnnForReferringSegmentation, exist_ok=True)
AutoModelForReferringSegmentation.register(MAttNetConfig, MAttNetForReferringSegmentation, exist_ok=True)
AutoModelForReferringSegmentation.register(RmiConfig, RmiForReferringSegmentation, exist_ok=True)
