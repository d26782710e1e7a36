"""Many questions on many machines, by Ray Data: `map_dataset` answers a dataset with the settings of one search.

`dataset` plans the run, `worker` answers on the workers, `journal` is what survives of it. Needs the extra `ray`.
"""

from langchain_optscale.distributed.dataset import map_dataset

__all__ = ["map_dataset"]
