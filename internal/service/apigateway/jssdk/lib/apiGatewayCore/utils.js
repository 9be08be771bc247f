/* What the parts of the SDK share. */
(function (root) {
    'use strict';

    var apiGateway = root.apiGateway = root.apiGateway || {};
    apiGateway.core = apiGateway.core || {};

    apiGateway.core.utils = {
        assertDefined: function (object, name) {
            if (object === undefined) {
                throw name + ' must be defined';
            }
            return object;
        },
        assertParametersDefined: function (params, keys, ignore) {
            if (keys === undefined) {
                return;
            }
            params = params || {};
            keys.forEach(function (key) {
                if ((ignore || []).indexOf(key) < 0) {
                    apiGateway.core.utils.assertDefined(params[key], key);
                }
            });
        },
        /* The members of params that are in keys and have a value. */
        parseParametersToObject: function (params, keys) {
            var out = {};
            keys.forEach(function (key) {
                if (params !== undefined && params !== null && params[key] !== undefined) {
                    out[key] = params[key];
                }
            });
            return out;
        },
        contains: function (list, item) {
            return list !== undefined && list.indexOf(item) >= 0;
        },
        copy: function (from) {
            return Object.assign(Array.isArray(from) ? [] : {}, from);
        },
        mergeInto: function (base, more) {
            return Object.assign({}, base, more);
        },
        /* The query of an object: sorted, encoded as signatures want it. */
        query: function (params) {
            function encoded(value) {
                return encodeURIComponent(value).replace(/[!'()*]/g, function (c) {
                    return '%' + c.charCodeAt(0).toString(16).toUpperCase();
                });
            }
            var pairs = [];
            Object.keys(params || {}).forEach(function (name) {
                [].concat(params[name]).forEach(function (value) {
                    pairs.push(encoded(name) + '=' + encoded(value));
                });
            });
            return pairs.sort().join('&');
        }
    };
})(typeof window !== 'undefined' ? window : globalThis);
