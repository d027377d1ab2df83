# Whichever module of ours is asked for first: all configurations are imported here, whole, by the hook on this factory
# (`hf_refseg.registration`), and not in the middle of one that another is derived from.
import transformers.models.auto.configuration_auto  # noqa: F401
