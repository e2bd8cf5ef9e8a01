//! Blobs of the inventory in ConfigMaps.
