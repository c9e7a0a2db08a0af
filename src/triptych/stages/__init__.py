"""One module a DVC stage: plain functions of settings, input paths, output paths and a tracker."""
