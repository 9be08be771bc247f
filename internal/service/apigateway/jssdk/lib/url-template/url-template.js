/* Templates of paths: {name} becomes a value, encoded; {name+} keeps its slashes. */
(function (root) {
    'use strict';

    function encoded(value) {
        return encodeURIComponent(value).replace(/[!'()*]/g, function (c) {
            return '%' + c.charCodeAt(0).toString(16).toUpperCase();
        });
    }

    root.urltemplate = {
        parse: function (template) {
            return {
                expand: function (values) {
                    return template.replace(/\{([^{}+]+)(\+?)\}/g, function (all, name, greedy) {
                        var value = values[name];
                        if (value === undefined || value === null) {
                            return '';
                        }
                        return greedy ? String(value).split('/').map(encoded).join('/') : encoded(String(value));
                    });
                }
            };
        }
    };
})(typeof window !== 'undefined' ? window : globalThis);
