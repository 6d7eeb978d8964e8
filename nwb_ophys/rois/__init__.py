"""The model of ROIs: pixel lists, image masks, centroids, properties and traces.

:class:`nwb_ophys.rois.model.Rois` is the object that writers and iterators ask; the other modules
are its parts, the views of a segmentation, and a base class of extractors of pixel lists.
"""
